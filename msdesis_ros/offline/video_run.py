"""The pipeline over a stereo video: every pair that decodes, with results on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.quality import Verdict, alignment_reasons
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.video_pairs import VideoPair, VideoPairs
from msdesis_ros.data.video_writer import DEFAULT_CODEC
from msdesis_ros.offline.row_outputs import HEAD_OF, OutputSettings
from msdesis_ros.offline.video_account import PairAccount
from msdesis_ros.offline.video_folder import PICTURES, VideoFolder
from msdesis_ros.offline.video_view import side_by_side
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult

# How report.json says that a run ended. UNFINISHED stays where it did not end by itself.
COMPLETE, DAMAGED, INTERRUPTED, UNFINISHED = 'complete', 'damaged', 'interrupted', 'unfinished'


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """What is written of a video.

    outputs: how the pictures are stored; the result video shows the same values. display_scale:
    grey levels of the result video for one pixel of disparity. save_images: a PNG of disparity
    and mask for each pair. codec: of the result video, a key of `video_writer.CODECS`. Raises
    UsageError for a scale that is not above 0.
    """

    outputs: OutputSettings = field(default_factory=OutputSettings)
    display_scale: float = 1.0
    save_images: bool = False
    codec: str = DEFAULT_CODEC

    def __post_init__(self) -> None:
        if not 0 < self.display_scale < float('inf'):
            raise UsageError(
                f'the display scale is {self.display_scale:g}; expected a number above 0'
            )


@dataclass(frozen=True)
class VideoSummary:
    """How a run ended.

    status: COMPLETE, DAMAGED or INTERRUPTED. processed: pairs whose results were written. account:
    the pictures that were read and those that are missing. verdicts: pairs by verdict.
    reasons: the first sentence of each reason. too_large: disparities beyond 16 bits.
    """

    status: str
    processed: int
    account: PairAccount
    verdicts: dict[str, int]
    reasons: dict[str, str]
    too_large: int


class VideoRun:
    """Takes every pair of a video through the pipeline and writes what comes out into a folder.

    videos: made with `skip_damaged`, so that what does not decode costs no more than itself. The
    written pictures count from 0, without gaps; frames.csv has the time of each.
    """

    def __init__(
        self,
        videos: VideoPairs,
        pipeline: PerceptionPipeline,
        rig: StereoRig | None,
        out: Path,
        settings: VideoSettings,
    ) -> None:
        self._videos, self._pipeline, self._rig = videos, pipeline, rig
        self._settings = settings
        self._folder = VideoFolder(out, settings.outputs)
        self._folder.require_apart_from(*(file.path for file in videos.files))
        self._kinds = [kind for kind in PICTURES if HEAD_OF[kind] in pipeline.backend.heads]
        self._verdicts: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._processed = self._too_large = 0

    def run(
        self,
        *,
        progress: Callable[[int], None] = lambda done: None,
        stop: Callable[[], object] = lambda: None,
    ) -> VideoSummary:
        """Do it; `progress` hears how many pairs are done, `stop` is asked after each.

        Stopped, the result video holds the pairs so far. Raises FileFormatError where not one
        pair decodes, and whatever the pipeline and the disk raise: the video is then not there,
        and report.json says that the run is not finished.
        """
        self._pipeline.prepare(self._rig, self._videos.image_size)
        width, height = self._videos.image_size
        stopped = False
        with self._folder.filling(
            size=(2 * width, height), like=self._videos.files[0], codec=self._settings.codec
        ):
            self._folder.prepare()
            self._folder.write_report(self._report(UNFINISHED))
            for pair in self._videos:
                self._do(pair)
                progress(self._processed)
                if stop():
                    stopped = True
                    break
            if not self._processed:
                raise FileFormatError(
                    f'{self._videos.files[0].path}: not one pair of pictures decodes; copy or '
                    'convert the video again'
                )
        account = PairAccount.of(self._videos, to_the_end=not stopped)
        status = INTERRUPTED if stopped else COMPLETE if account.whole else DAMAGED
        self._folder.write_report(self._report(status, account))
        return VideoSummary(
            status,
            self._processed,
            account,
            dict(self._verdicts),
            self._reasons,
            self._too_large,
        )

    def _do(self, pair: VideoPair) -> None:
        raw = RawPair(pair.left, pair.right, stamp_ns=pair.time_ns, right_stamp_ns=pair.time_ns)
        result = self._pipeline.process(raw, self._rig)
        verdict = self._with_alignment(result)
        planes = self._settings.outputs.planes(result, self._kinds)
        too_large = 0
        if self._settings.save_images:
            too_large = self._folder.write_pictures(self._processed, planes)
        view = side_by_side(
            result.prediction.left_rect,
            planes.get('disparity'),
            planes.get('segmentation'),
            gain=self._settings.display_scale,
        )
        self._folder.add_view(view, pair.time, pair.duration)
        self._folder.add_row(
            {
                'frame': self._processed,
                'time_s': _seconds(pair.time),
                'damaged': int(pair.damaged),
                'verdict': verdict.state.value,
                'reasons': ' '.join(reason.code for reason in verdict.reasons),
                'coverage': f'{result.prediction.coverage:.6f}',
                'too_large': too_large,
            }
        )
        self._verdicts[verdict.state.value] += 1
        for reason in verdict.reasons:
            self._reasons.setdefault(reason.code, f'pair {self._processed}: {reason.sentence}')
        self._too_large += too_large
        self._processed += 1

    def _with_alignment(self, result: PerceptionResult) -> Verdict:
        """The verdict, with how far the views stand apart as soon as a pair shows it.

        It is a property of the camera, so it is measured once; on pictures without texture it is
        tried again ever more rarely.
        """
        number, monitor = self._processed, self._pipeline.monitor
        if monitor.vertical_offset is not None or number & (number - 1):
            return result.verdict
        offset = self._pipeline.measure_vertical_offset(result)
        return result.verdict.also(*alignment_reasons(offset, monitor.limits))

    def _report(self, status: str, account: PairAccount | None = None) -> dict[str, Any]:
        videos, settings, geometry = self._videos, self._settings, self._pipeline.geometry
        identity = self._pipeline.backend.identity
        return {
            'status': status,
            'inputs': [str(file.path) for file in videos.files],
            'image_size': list(videos.image_size),
            'rate': str(videos.rate),
            'steady_rate': videos.files[0].steady,
            'processed': self._processed,
            'account': None if account is None else account.as_dict(),
            'verdicts': dict(self._verdicts),
            'model': {'name': identity.name, 'sha256': identity.sha256},
            'backend': identity.backend,
            'geometry': None if geometry is None else asdict(geometry),
            'alpha': self._pipeline.alpha,
            'calibration_warnings': list(self._rig.warnings) if self._rig else [],
            'disparity_scale_factor': settings.outputs.disparity_scale_factor,
            'disparities_too_large': self._too_large,
            'segmentation_threshold': settings.outputs.segmentation_threshold,
            'valid_only': settings.outputs.valid_only,
            'display_scale': settings.display_scale,
            'images': self._kinds if settings.save_images else [],
        }


def _seconds(time: Fraction) -> str:
    return f'{round(time * 10**9) / 10**9:.9f}'
