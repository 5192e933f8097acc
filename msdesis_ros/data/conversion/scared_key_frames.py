"""SCARED's key frames: the layout that training reads, or a tree like the published one.

Training layout: `out/<product>/<dataset>_<keyframe>.png`, calibrations likewise. Tree:
`out/dataset_N/keyframe_K/<product>.png`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from msdesis_ros.data.conversion.places import (
    CALIBRATION_FILE,
    Tell,
    Writer,
    place_calibration,
    refuse_source,
    say_scale,
    silent,
)
from msdesis_ros.data.conversion.point_clouds import read_cloud, read_point_map
from msdesis_ros.data.conversion.records import (
    Faults,
    Outcome,
    Record,
    Settings,
    refuse_unknown,
)
from msdesis_ros.data.conversion.scared_tree import CALIBRATION_NAME, KeyFrame
from msdesis_ros.data.conversion.scared_truths import left_half
from msdesis_ros.data.conversion.scared_views import (
    PRODUCTS,
    TRUTHS,
    ScaredViews,
    read_scared_calibration,
)
from msdesis_ros.data.images import read_rgb

RECORD_FILE = 'conversion_keyframes.json'
# The published name of the one picture that is a copy.
_STEMS = {'left': 'Left_Image'}


def convert_key_frames(
    keys: Sequence[KeyFrame],
    out: Path,
    settings: Settings,
    *,
    tree: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    tell: Tell = silent,
) -> Outcome:
    """Convert key frames, without their videos, into `out`.

    The cloud is `point_cloud.obj`, or the file that `settings.cloud` names in each key frame; the
    depth of the left picture as it was taken is the published one, unless a cloud is named. What
    an earlier run with these settings has finished is kept; its record is RECORD_FILE.

    A missing or broken piece is named in the outcome, and its key frame left out; with `strict`
    it ends the run.

    Raises:
        UsageError: the results of other settings are there, or `out` is the published data.
        MissingExtraError: clouds need a package that is not installed.
        FileFormatError, CalibrationError: a bad piece, where `strict`.
    """
    outcome = Outcome()
    faults = Faults(strict, outcome.problems)
    if tree:
        for key in keys:
            refuse_source(key.folder, out / key.name)
        # Nor into a copy of them: Left_Image.png is the name of a source and of a result.
        for published in out.glob(f'dataset_*/keyframe_*/{CALIBRATION_NAME}'):
            refuse_source(published.parent, published.parent)
    if overwrite:
        # All of them, before the record is: one folder holds the results of one setting.
        _clear(out, tree)
    refuse_unknown(out / RECORD_FILE, _pictures(out, tree))
    record = Record(out / RECORD_FILE, {'tree': tree, **settings.recorded}, overwrite=overwrite)
    there = {str(name) for name in record.frames}
    for key in keys:
        tell(key.name, 0)
        with faults.leaving_out(key.name):
            _convert(key, out, settings, tree, outcome)
            there.add(key.short_name)
            record.write(sorted(there), complete=False)
    record.write(sorted(there), complete=not outcome.problems, problems=outcome.problems)
    return outcome


def _convert(key: KeyFrame, out: Path, settings: Settings, tree: bool, outcome: Outcome) -> None:
    left = read_rgb(key.left_image)
    size = (left.shape[1], left.shape[0])
    calibration = read_scared_calibration(key.calibration, image_size=size, alpha=settings.alpha)
    views = ScaredViews(calibration, settings.products)

    def path_of(product: str, suffix: str = '.png') -> Path:
        stem = _STEMS.get(product, product)
        if tree:
            return out / key.name / f'{stem}{suffix}'
        return out / stem / f'{key.short_name}{suffix}'

    writer = Writer(path_of, settings.scale_factor, outcome)
    place = path_of(Path(CALIBRATION_FILE).stem, '.json')
    missing = writer.missing(views.names)
    # All pieces are read before the first file is written: half a key frame is none.
    products = views.pictures(left, read_rgb(key.right_image)) if missing else {}
    if set(missing) & set(TRUTHS):
        products |= _truths(key, views, settings.cloud)
    place_calibration(place, calibration, overwrite=False)
    if not missing:
        outcome.kept += 1
        return
    writer.write(products)
    if not tree:
        for name in set(views.names) & set(TRUTHS):
            say_scale(path_of(name).parent, name, settings.scale_factor)
    outcome.made += 1


def _clear(out: Path, tree: bool) -> None:
    calibrations = _files(out, Path(CALIBRATION_FILE).stem, '.json', tree)
    for path in [*_pictures(out, tree), *calibrations]:
        path.unlink()


def _pictures(out: Path, tree: bool) -> Iterator[Path]:
    for name in (name for names in PRODUCTS.values() for name in names):
        yield from _files(out, _STEMS.get(name, name), '.png', tree)


def _files(out: Path, stem: str, suffix: str, tree: bool) -> Iterator[Path]:
    yield from out.glob(
        f'dataset_*/keyframe_*/{stem}{suffix}' if tree else f'{stem}/[0-9]*_*{suffix}'
    )


def _truths(key: KeyFrame, views: ScaredViews, cloud: str | None) -> dict[str, np.ndarray]:
    depth_mm = None
    if cloud is None and 'depthmap' in views.names:
        point_map = read_point_map(key.point_map)
        depth_mm = left_half(point_map, views.image_size, str(key.point_map))[..., 2]
    return views.truths(read_cloud(key.cloud(cloud)), depth_mm=depth_mm)
