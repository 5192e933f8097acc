"""Needles, threads and clips: in the jaws of an instrument, or lying on tissue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.assembly import Body
from msdesis_ros.data.synth.instruments import blades
from msdesis_ros.data.synth.instruments.blood import bloodied
from msdesis_ros.data.synth.instruments.catalogue import model_of
from msdesis_ros.data.synth.instruments.description import InstrumentScene
from msdesis_ros.data.synth.instruments.materials import Surface, finished
from msdesis_ros.data.synth.instruments.outlines import unit
from msdesis_ros.data.synth.instruments.pieces import Model, Piece, shortest_turn
from msdesis_ros.data.synth.instruments.shapes import tube
from msdesis_ros.data.synth.mesh import Mesh, merged
from msdesis_ros.data.synth.stereo_frame import ToolType

HELD_NEEDLE_SHARE = 0.42
NEEDLE_WIRE_MM = 0.3


def held_bodies(
    scene: InstrumentScene,
    time_s: float,
    number: int,
    *,
    pose: np.ndarray,
    joints: dict[str, np.ndarray],
) -> list[Body]:
    """What the jaws hold, in the middle between them."""
    model = model_of(scene.name, scene.marks_at_mm)
    hold = pose @ (joints['wrist'] @ _between(joints, model))
    if scene.load == 'clip':
        plastic = scene.surface.clip_colour is not None
        jaw_mm = model.tip_mm - model.hinge_mm
        length = 0.4 * jaw_mm
        hold[:3, 3] += hold[:3, 2] * (model.tip_mm - length)
        gap = 1.8 * jaw_mm * np.tan(max(scene.opening_rad.at(time_s), 0.0) / 2)
        pieces = blades.surgical_clip(length, plastic=plastic, gap_mm=gap, closed=False)
        return _bodies(pieces, scene.surface, ToolType.CLIP, number, hold)
    rng = np.random.default_rng([scene.seed, 21])
    needle = blades.suture_needle(scene.size_mm, share=HELD_NEEDLE_SHARE, wire_mm=NEEDLE_WIRE_MM)
    # Held a third of the way from the thread's end, across the jaws.
    angle = 2 * np.pi * HELD_NEEDLE_SHARE * rng.uniform(0.25, 0.45)
    grip = scene.size_mm * np.array([np.cos(angle), 0.0, np.sin(angle)])
    turn = np.eye(4)
    tangent = np.array([-np.sin(angle), 0.0, np.cos(angle)])
    radial = -grip / scene.size_mm
    # The wire runs along y, its circle stands ahead of the jaws, tilted by the surgeon's choice.
    tilt = rng.uniform(-0.5, 0.5)
    ahead = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    local = np.stack([tangent, radial, np.cross(tangent, radial)])
    world = np.stack([[0, 1.0, 0], ahead, np.cross([0, 1.0, 0], ahead)])
    turn[:3, :3] = world.T @ local
    turn[:3, 3] = [0, 0, model.tip_mm - 0.12 * (model.tip_mm - model.hinge_mm) - 0.4]
    turn[:3, 3] -= turn[:3, :3] @ grip
    place = hold @ turn
    bodies = _bodies([needle], scene.surface, ToolType.NEEDLE, number, place)
    thread = Body(_thread(scene, place, rng), finished('thread', scene.surface))
    return [*bodies, thread]


def _between(joints: dict[str, np.ndarray], model: Model) -> np.ndarray:
    """The middle between both jaws, in the wrist's frame."""
    inverse = np.linalg.inv(joints['wrist'])
    ahead = sum(inverse @ joints[jaw] @ np.array([0, 0, 1.0, 0]) for jaw in ('jaw_a', 'jaw_b'))
    angle = float(np.arctan2(ahead[0], ahead[2]))
    cos, sin = np.cos(angle), np.sin(angle)
    pose = np.eye(4)
    pose[0, 0], pose[0, 2], pose[2, 0], pose[2, 2] = cos, sin, -sin, cos
    hinge = np.array([0, 0, model.hinge_mm])
    pose[:3, 3] = hinge - pose[:3, :3] @ hinge
    return pose


def _thread(scene: InstrumentScene, needle: np.ndarray, rng: np.random.Generator) -> Mesh:
    """The thread from the needle's end, sagging away from the camera, in the world."""
    start = (needle @ np.array([scene.size_mm, 0, 0, 1.0]))[:3]
    leave = needle[:3, :3] @ np.array([0, 0, -1.0])
    length = rng.uniform(25.0, 70.0)
    share = np.linspace(0, 1, 40)[:, None]
    side = rng.normal(size=3) * np.array([1.0, 1.0, 0.3])
    end = start + length * unit(side + 0.6 * leave)
    second = start + leave * length * 0.4
    third = end - unit(rng.normal(size=3)) * length * 0.4
    path = (
        (1 - share) ** 3 * start + 3 * share * (1 - share) ** 2 * second
        + 3 * share**2 * (1 - share) * third + share**3 * end
    )  # fmt: skip
    return tube(path, 0.11, segments=6)


def lying_bodies(scene: InstrumentScene, number: int) -> list[Body]:
    """A needle or a closed clip on tissue."""
    up = unit(np.array(scene.normal))
    pose = np.eye(4)
    rotation = shortest_turn(up, scene.roll_rad.mean)
    if scene.name == 'needle':
        piece = blades.suture_needle(
            scene.size_mm, share=HELD_NEEDLE_SHARE, wire_mm=NEEDLE_WIRE_MM
        )
        # The circle lies flat: its axis, y, along the normal.
        pose[:3, :3] = rotation @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        pose[:3, 3] = np.array(scene.tip_mm) + 0.2 * up
        return _bodies([piece], scene.surface, ToolType.NEEDLE, number, pose)
    plastic = scene.surface.clip_colour is not None
    pieces = blades.surgical_clip(scene.size_mm, plastic=plastic, gap_mm=0.7, closed=True)
    pose[:3, :3] = rotation @ np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    pose[:3, 3] = np.array(scene.tip_mm) + 0.45 * up - pose[:3, 2] * scene.size_mm / 2
    return _bodies(pieces, scene.surface, ToolType.CLIP, number, pose, scene.bloodiness)


def _bodies(
    pieces: Sequence[Piece],
    surface: Surface,
    tool_type: ToolType,
    number: int,
    pose: np.ndarray,
    bloodiness: float = 0.0,
) -> list[Body]:
    mesh = bloodied(merged([piece.mesh for piece in pieces]), bloodiness, number, 1e3)
    first = pieces[0]
    return [Body(mesh, finished(first.finish, surface), first.part, tool_type, number, pose)]
