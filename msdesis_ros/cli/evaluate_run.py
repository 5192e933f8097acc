"""What the commands of `msdesis evaluate` share: the model, the frames one by one, the files."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.prediction import ModelIdentity, RawPair
from msdesis_ros.core.quality import Verdict
from msdesis_ros.data.images import write_image
from msdesis_ros.evaluation.frame_score import FrameAnswer, FrameTruth, score_frame
from msdesis_ros.evaluation.synthetic_set import SyntheticSet
from msdesis_ros.evaluation.totals import Totals, write_csv, write_json
from msdesis_ros.evaluation.worst_cases import Case, WorstCases
from msdesis_ros.runtime.pipeline import PerceptionPipeline

OUTPUT_FILES = ('metrics.json', 'metrics.csv', 'worst_cases.png')
# What the last line of a command tells, of all pixels of all frames.
_TOLD = (
    ('epe_px', 'EPE {:.3f} px'),
    ('bad_3', 'bad-3 {:.2%}'),
    ('coverage', 'over {:.1%} of the pixels with truth'),
    ('dense_epe_px', 'EPE over all of them {:.3f} px'),
    ('mask_iou', 'mask IoU {:.3f}'),
    ('calibration_error', 'calibration error {:.3f}'),
)


class Evaluation:
    """Scores of frames, their worst cases, and the three files about them."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._worst = WorstCases()
        self._verdicts: Counter[str] = Counter()

    def add(self, name: str, truth: FrameTruth, answer: FrameAnswer, verdict: Verdict) -> None:
        """Score one frame; UsageError where its truth does not fit."""
        score = score_frame(truth, answer)
        self.totals.add(name, score)
        self._worst.show(Case(name, truth, answer, score))
        self._verdicts[verdict.state.value] += 1

    def write(self, out: Path, model: ModelIdentity, about: dict[str, Any]) -> str:
        """Write the files into `out`, which holds those of this run alone; returns a summary."""
        for name in OUTPUT_FILES:
            (out / name).unlink(missing_ok=True)
        head = {'model': asdict(model), 'evaluated': about, 'verdicts': dict(self._verdicts)}
        summary = self._summary()
        write_image(
            out / 'worst_cases.png',
            self._worst.sheet(f'{model.name} ({model.backend}): {summary}'),
        )
        write_csv(out / 'metrics.csv', self.totals)
        write_json(out / 'metrics.json', self.totals, head)
        return f'{model.name}: {summary}; wrote {", ".join(OUTPUT_FILES)} to {out}'

    def _summary(self) -> str:
        found = self.totals.per_pixel['all']
        told = [text.format(found[name]) for name, text in _TOLD if found[name] is not None]
        count = len(self.totals.frames)
        frames = f'{count} frame{"s" if count > 1 else ""}'
        return ', '.join([frames, *(told or ['nothing to score'])])


def evaluate_set(frames: SyntheticSet, choice: ModelChoice, out: Path) -> str:
    """Run a model on every frame of a set and write what came out; returns a summary."""
    with choice.opened(frames.image_size) as backend:
        out.mkdir(parents=True, exist_ok=True)  # before the work of hours, not after it
        evaluation = Evaluation()
        with progress_bar() as bar:
            for number in bar.track(range(frames.frames), description='frames'):
                frame = frames.frame(number)
                # A pipeline remembers the pair before; these frames are no stream.
                result = PerceptionPipeline(backend).process(
                    RawPair(frame.left, frame.right, stamp_ns=0, right_stamp_ns=0), None
                )
                evaluation.add(
                    f'{number:06d}',
                    FrameTruth.of_frame(frame),
                    FrameAnswer.of_result(result),
                    result.verdict,
                )
        about = frames.about | {'image_size': list(frames.image_size)}
        return evaluation.write(out, backend.identity, about)
