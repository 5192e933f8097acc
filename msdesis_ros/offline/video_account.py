"""What a pass over one or two videos gave, and what is missing, in numbers and sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msdesis_ros.data.video_frames import Account
from msdesis_ros.data.video_pairs import VideoPairs


def counted(number: int, noun: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f'{number} {noun}{"" if number == 1 else "s"}'


@dataclass(frozen=True)
class PairAccount:
    """What became of the pictures of one video with both views, or of two.

    files: one entry for each, (path, announced pictures or 0 where that is not known exactly,
    account, unpaired: decoded but without a partner). to_the_end: the pass was not stopped before.
    """

    files: tuple[tuple[Path, int, Account, int], ...]
    to_the_end: bool

    @classmethod
    def of(cls, videos: VideoPairs, *, to_the_end: bool) -> PairAccount:
        """That of the latest pass over these videos."""
        entries = zip(videos.files, videos.accounts, videos.unpaired, strict=True)
        return cls(
            tuple(
                (file.path, file.count if file.count_is_exact else 0, account, alone)
                for file, account, alone in entries
            ),
            to_the_end,
        )

    @property
    def decoded(self) -> int:
        """Pictures that were decoded, of the video that gave fewer."""
        return min(account.decoded for _, _, account, _ in self.files)

    @property
    def lost(self) -> int:
        """Pictures that are missing or did not decode, of all files."""
        return sum(account.lost for _, _, account, _ in self.files)

    @property
    def damaged(self) -> int:
        """Pictures that the decoder had to repair, of all files."""
        return sum(account.damaged for _, _, account, _ in self.files)

    @property
    def whole(self) -> bool:
        """Whether every file gave all it should, undamaged, as far as files can tell."""
        return not any(a.cut_short or a.lost or a.damaged for _, _, a, _ in self.files)

    def problems(self) -> list[str]:
        """What is wrong with the files, a sentence each."""
        told = []
        for path, _, account, _ in self.files:
            if account.cut_short:
                about = '' if account.exact else 'about '
                missing = f'{about}{counted(account.missing, "picture")} missing'
                told.append(
                    f'{path} is cut short: {missing if account.missing else "it ends"} behind the '
                    f'{account.decoded} decoded; copy it again, or go on with these'
                )
            if account.refused:
                told.append(
                    f'{path}: {counted(account.refused, "picture")} left out, not decodable'
                )
            if account.damaged:
                told.append(
                    f'{path}: {counted(account.damaged, "picture")} damaged and decoded in part, '
                    'marked in frames.csv'
                )
        return told

    def unpaired(self) -> list[str]:
        """Which file has pictures without a partner in the other, a sentence each."""
        told = []
        for path, announced, account, alone in self.files:
            rest = announced - account.decoded - account.lost if self.to_the_end else 0
            if alone or (rest > 0 and len(self.files) > 1):
                alone += max(rest, 0)
                told.append(
                    f'{path}: {counted(alone, "picture")} without a partner in the other video'
                )
        return told

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            'decoded': self.decoded,
            'lost': self.lost,
            'damaged': self.damaged,
            'files': [
                {'path': str(path), 'announced': announced or None, 'unpaired': alone}
                | asdict(account)
                for path, announced, account, alone in self.files
            ],
        }
