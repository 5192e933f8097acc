"""What all backends of networks do alike: sizes, pictures, planes, closing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msdesis_ros.core.errors import BackendError, ModelError, PictureSizeError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput, contiguous_pair
from msdesis_ros.runtime.graph_contract import GraphInterface, raw_output
from msdesis_ros.runtime.model_card import InputRule, ModelCard
from msdesis_ros.runtime.model_file import ModelFile


class NetworkBackend:
    """One network in one program; a child says how a pair is inferred and what is released.

    `precision`: what the network computes in, one of PRECISIONS of the model cards; it decides how
    close the self-check wants the answers. `sizes` restricts what `interface` itself would take.
    """

    disparity_step_px = 0.0

    def __init__(
        self,
        *,
        identity: ModelIdentity,
        interface: GraphInterface,
        min_disparity_px: float,
        max_disparity_px: float,
        sizes: InputRule | None = None,
        precision: str = 'fp32',
    ) -> None:
        self.identity = identity
        self.interface = interface
        self.heads = interface.heads
        self.min_disparity_px = min_disparity_px
        self.max_disparity_px = max_disparity_px
        self.precision = precision
        self._sizes = sizes or InputRule()
        self._closed = False

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Run one grey pair, so that memory is there and kernels are chosen (see Backend)."""
        width, height = image_size
        self.require_size(image_size)
        grey = np.full((height, width, 3), 127, dtype=np.uint8)
        self.run(grey, grey)

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        """Infer one pair (see Backend); NaN or infinity in an output is a BackendError."""
        left, right = contiguous_pair(left, right)
        size = (left.shape[1], left.shape[0])
        self.require_size(size)
        if self._closed:
            raise BackendError(f'{self.identity.name} is closed; create the backend again')
        try:
            planes = self._infer({'left': left, 'right': right})
        except BackendError:
            raise
        except Exception as error:  # each program raises its own types, which share no base
            raise BackendError(
                f'{self.identity.name} failed on a {size[0]}x{size[1]} pair: {first_line(error)}'
            ) from error
        output = raw_output(planes, image_size=size, model=self.identity.name)
        searched_px = self._sizes.searched_px(size, self.max_disparity_px)
        return replace(output, max_disparity_px=searched_px)

    def close(self) -> None:
        """Release the network and its memory; closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    def require_size(self, image_size: tuple[int, int]) -> None:
        """Raise PictureSizeError, naming the sizes it takes, unless (width, height) is one."""
        made_for = (self.interface.width, self.interface.height)
        if any(
            given is not None and given != size
            for given, size in zip(made_for, image_size, strict=True)
        ):
            raise PictureSizeError(
                f'{self.identity.name} cannot take {image_size[0]}x{image_size[1]} pictures; '
                f'its graph is made for {_sides(made_for)}'
            )
        self._sizes.require(image_size, model=self.identity.name)

    def require_promises(self, card: ModelCard, file: ModelFile) -> None:
        """Raise ModelError unless heads and size are those that the card says of its file."""
        if self.heads != card.heads:
            raise ModelError(
                f'the card of {card.name} promises the heads {sorted(card.heads)}, but '
                f'{file.path} has {sorted(self.heads)}; correct the card or export again'
            )
        found = (self.interface.width, self.interface.height)
        if file.image_size not in (None, found):
            raise ModelError(
                f'the card of {card.name} says that {file.path} is made for '
                f'{_sides(file.image_size)}, but it is made for {_sides(found)}; correct the card '
                'or export again'
            )

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`left`, `right` (H x W x 3 uint8, C-contiguous) -> the planes by name, new memory."""
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of what the program holds; called once."""
        raise NotImplementedError


def _sides(size: tuple[int | None, ...] | None) -> str:
    """'1280x1024', with 'any' for a side that is not fixed."""
    return 'x'.join('any' if side is None else str(side) for side in size or (None, None))


def first_line(error: BaseException) -> str:
    """What an error says, without what may follow in further lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
