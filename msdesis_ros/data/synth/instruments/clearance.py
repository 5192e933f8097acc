"""Whether an instrument's axis keeps clear of the tissue, the other instruments and the lens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msdesis_ros.data.synth.instruments.build import tool_pose
from msdesis_ros.data.synth.instruments.catalogue import model_of
from msdesis_ros.data.synth.instruments.description import InstrumentScene
from msdesis_ros.data.synth.rigs import EndoscopeRig

SurfaceMm = Callable[[np.ndarray, np.ndarray], np.ndarray]

CHECKED_TIMES = 5
# Points from the tip to the shaft's end, then along the shaft.
DISTAL_POINTS, SHAFT_POINTS = 16, 56
SHAFT_MM = 330.0
TOUCHING_MM = 7.0
GRIP_MM = 2.0
LENS_CLEARANCE_MM = 14.0


def axis_points(scene: InstrumentScene, time_s: float) -> np.ndarray:
    """Points along an instrument's middle from the tip backwards, P x 3, mm in the world."""
    pose, joints = tool_pose(scene, time_s)
    model = model_of(scene.name, scene.marks_at_mm)
    z = np.linspace(model.tip_mm, 0.0, DISTAL_POINTS)
    distal = np.zeros((DISTAL_POINTS, 3))
    for row, height in enumerate(z):
        joint = 'shaft' if height < model.pitch_mm else 'wrist'
        if height > model.hinge_mm:
            both = [(joints[jaw] @ (0, 0, height, 1.0))[:3] for jaw in ('jaw_a', 'jaw_b')]
            distal[row] = np.mean(both, axis=0)
        else:
            distal[row] = (joints[joint] @ (0, 0, height, 1.0))[:3]
    shaft = np.zeros((SHAFT_POINTS, 3))
    shaft[:, 2] = -np.linspace(1.0, SHAFT_MM, SHAFT_POINTS)
    points = np.concatenate([distal, shaft])
    return points @ pose[:3, :3].T + pose[:3, 3]


def jaw_tips(scene: InstrumentScene, time_s: float) -> np.ndarray:
    """The tips of both jaws, 2 x 3, mm in the world."""
    pose, joints = tool_pose(scene, time_s)
    end = (0, 0, model_of(scene.name, scene.marks_at_mm).tip_mm, 1.0)
    return np.stack([(pose @ joints[jaw] @ end)[:3] for jaw in ('jaw_a', 'jaw_b')])


def tips_near_surface(tips: np.ndarray, scene: InstrumentScene, surface_mm: SurfaceMm) -> bool:
    """Whether open jaws, T x 2 x 3, are in the tissue by no more than a grip needs."""
    height = np.asarray(surface_mm(tips[..., 0], tips[..., 1]), np.float64)
    allowed = GRIP_MM if scene.contact == 'touch' else 0.0
    with np.errstate(invalid='ignore'):
        return not bool((tips[..., 2] - allowed > height).any())


def clear_of_tissue(points: np.ndarray, scene: InstrumentScene, surface_mm: SurfaceMm) -> bool:
    """Whether no part is in the tissue: T x P x 3 points of `axis_points` at several times."""
    height = np.asarray(surface_mm(points[..., 0], points[..., 1]), np.float64)
    from_tip = np.linalg.norm(points - points[:, :1], axis=-1)
    # Jaws are thin at the tip and as thick as the shaft at the hinge.
    radius = scene.shaft_radius_mm * np.clip(from_tip / 15.0, 0.0, 1.0)
    allowed = np.where(from_tip < TOUCHING_MM, 1.0, 0.0)
    with np.errstate(invalid='ignore'):
        deep = points[..., 2] + radius - allowed > height
    return not bool(deep.any())


def fits_the_view(points: np.ndarray, radius_mm: float, rig: EndoscopeRig) -> bool:
    """Whether it comes in over the border, shows its tip and is not too near to any eye."""
    eyes = np.array([[0, 0, 0], [rig.baseline_mm, 0, 0]], np.float64)
    seen = _in_view(points - eyes[0], rig) | _in_view(points - eyes[1], rig)
    near = points[..., 2] - radius_mm < rig.nearest_mm
    if bool((seen & near).any()) or not bool(seen[0, 0]):
        return False
    # From the tip to the border without a gap, and out of view at its far end.
    back_in = np.diff(seen.astype(np.int8), axis=1) > 0
    if bool(seen[:, -1].any()) or bool(back_in.any()):
        return False
    to_eye = np.linalg.norm(points[..., None, :] - eyes, axis=-1)
    in_front = points[..., 2] > -5.0
    return not bool((to_eye.min(axis=-1)[in_front] < LENS_CLEARANCE_MM + radius_mm).any())


def apart(first: np.ndarray, second: np.ndarray, gap_mm: float) -> bool:
    """Whether two instruments' axes (T x P x 3 each) stay farther apart than the gap."""
    # Beyond the trocar they do not matter; every second point is near enough.
    a, b = first[:, ::2], second[:, ::2]
    gap = np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)
    close = gap < gap_mm
    return not bool(close.any())


def _in_view(points: np.ndarray, rig: EndoscopeRig) -> np.ndarray:
    width, height = rig.image_size
    z = np.maximum(points[..., 2], 1e-3)
    u = rig.focal_px * points[..., 0] / z + rig.cx_px
    v = rig.focal_px * points[..., 1] / z + rig.cy_px
    return (points[..., 2] > 2.0) & (u > 0) & (u < width - 1) & (v > 0) & (v < height - 1)
