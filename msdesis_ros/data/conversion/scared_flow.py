"""Optical flow of SCARED's sequences: the key frame's cloud, moved by two poses in a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msdesis_ros.core.projection import View, front_points, project
from msdesis_ros.data.conversion.frame_archives import read_poses
from msdesis_ros.data.conversion.places import Tell, refuse_source, silent
from msdesis_ros.data.conversion.point_clouds import read_cloud
from msdesis_ros.data.conversion.records import Faults, Outcome, Record, refuse_unknown
from msdesis_ros.data.conversion.scared_tree import KeyFrame
from msdesis_ros.data.conversion.scared_views import read_scared_calibration
from msdesis_ros.data.images import read_rgb, write_image

FOLDER, RECORD_FILE = 'forward_flow', 'conversion_flow.json'
# The form of KITTI 2015: red and green are x and y, blue says where they are known.
FLOW_SCALE, FLOW_ZERO = 64.0, 1 << 15
_STORED = '16-bit PNG: red, green = x, y in px x 64 + 32768, rounded; blue = 1 where known'


def encode_flow(flow_px: np.ndarray) -> tuple[np.ndarray, int]:
    """H x W x 2 float px, NaN where unknown -> H x W x 3 uint16 (RGB) as KITTI 2015 stores it.

    Also how many flows were too large for 16 bits (512 px and more): they are stored as unknown.
    """
    samples = np.rint(flow_px * FLOW_SCALE + FLOW_ZERO)
    known = np.isfinite(flow_px).all(axis=2)
    with np.errstate(invalid='ignore'):
        fits = ((samples >= 1) & (samples <= np.iinfo(np.uint16).max)).all(axis=2)
    stored = np.zeros((*known.shape, 3), dtype=np.uint16)
    stored[fits, :2] = samples[fits]
    stored[fits, 2] = 1
    return stored, int((known & ~fits).sum())


def convert_flow(
    key: KeyFrame,
    out: Path,
    *,
    cloud: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    tell: Tell = silent,
) -> Outcome:
    """Write `out/dataset_N/keyframe_K/forward_flow/NNNNNN.png` of one key frame.

    Frame NNNNNN holds where each pixel of the left picture, as it was taken, moves to in the next
    frame; the last frame has none. Pieces, `cloud` and errors as for `convert_sequence`.
    """
    outcome = Outcome()
    faults = Faults(strict, outcome.problems)
    folder = out / key.name
    refuse_source(key.folder, folder)
    with faults.leaving_out(key.name):
        _convert(key, folder, cloud, overwrite, outcome, faults, tell)
    return outcome


def _convert(
    key: KeyFrame,
    folder: Path,
    cloud: str | None,
    overwrite: bool,
    outcome: Outcome,
    faults: Faults,
    tell: Tell,
) -> None:
    height, width = read_rgb(key.left_image).shape[:2]
    size = (width, height)
    calibration = read_scared_calibration(key.calibration, image_size=size, alpha=-1.0)
    view = View(size, calibration.k1, np.eye(3), calibration.d1)
    poses, errors = read_poses(key.poses)
    for error in errors:
        faults(error)
    pairs = [number for number in sorted(poses) if number + 1 in poses]
    places = {number: folder / FOLDER / f'{number:06d}.png' for number in pairs}
    if overwrite:
        for path in (folder / FOLDER).glob('[0-9]*.png'):
            path.unlink()
    refuse_unknown(folder / RECORD_FILE, (folder / FOLDER).glob('[0-9]*.png'))
    missing = [number for number in pairs if not places[number].is_file()]
    settings = {'stored': _STORED, 'key_frame': key.name, 'cloud': cloud}
    record = Record(folder / RECORD_FILE, settings, overwrite=overwrite)
    points = read_cloud(key.cloud(cloud)) if missing else np.empty((0, 3))
    for number in missing:
        tell(key.name, number)
        moved = [points @ p[:3, :3].T + p[:3, 3] for p in (poses[number], poses[number + 1])]
        stored, too_large = encode_flow(flow_between(moved[0], moved[1], view))
        write_image(places[number], stored)
        if too_large:
            outcome.notes.append(
                f'{places[number]}: {too_large} flows of 512 px or more are stored as unknown'
            )
    outcome.made += len(missing)
    outcome.kept += len(pairs) - len(missing)
    record.write(pairs, complete=not outcome.problems, problems=outcome.problems)


def flow_between(points: np.ndarray, next_points: np.ndarray, view: View) -> np.ndarray:
    """Where the pixels of a view move to: H x W x 2 float64 px (x, y), NaN where unknown.

    points, next_points: the same N points, N x 3, in the camera's frame at two times. A pixel has
    the flow of the point in front of the others on it. It may lead out of the picture, and what
    hides the point the next time is not looked at.
    """
    pixels, depth = project(points, view)
    next_pixels, _ = project(next_points, view)
    front = front_points(pixels, depth, view.image_size)
    flow = np.full((*front.shape, 2), np.nan)
    shown = front[front >= 0]
    flow[front >= 0] = next_pixels[shown] - pixels[shown]
    return flow
