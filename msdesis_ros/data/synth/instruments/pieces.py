"""What an instrument is made of before it moves: pieces on joints.

Instrument frame, mm: z along the shaft, towards the tip; the shaft ends at z = 0; the jaws are
closed, and the hinge's pin runs along y, so that jaw `a` opens towards +x and `b` towards -x.
The wrist, where there is one, bends about x.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from msdesis_ros.data.synth.instruments.outlines import unit
from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.stereo_frame import Part

JOINTS = ('shaft', 'wrist', 'jaw_a', 'jaw_b', 'link_a', 'link_b')
# How many small discs stand for all surfaces when it is computed what covers what.
BLOCKERS = 900


@dataclass(frozen=True, eq=False)
class Piece:
    """One solid of one finish that moves with one joint."""

    mesh: Mesh
    finish: str
    part: Part
    joint: str = 'shaft'


@dataclass(frozen=True, eq=False)
class Model:
    """An instrument's pieces and where its joints are.

    pitch_mm, hinge_mm, tip_mm: z of the wrist's axis, of the jaws' hinge and of the tip.
    link_mm: z of the hole in the jaws' tails, 0 without links; tail_mm: its distance from the
    middle. single_action: only jaw `a` moves.
    """

    pieces: tuple[Piece, ...]
    pitch_mm: float
    hinge_mm: float
    tip_mm: float
    link_mm: float = 0.0
    tail_mm: float = 0.0
    link_length_mm: float = 0.0
    single_action: bool = False

    @property
    def triangles(self) -> int:
        """How many triangles all pieces have."""
        return sum(len(piece.mesh.faces) for piece in self.pieces)


def joint_poses(
    model: Model, *, pitch_rad: float, yaw_rad: float, opening_rad: float
) -> dict[str, np.ndarray]:
    """4 x 4 by joint, from a piece's frame to the instrument's; `opening` is between the jaws."""
    wrist = _turn_at(model.pitch_mm, 'x', pitch_rad)
    half = opening_rad / 2
    first = yaw_rad + (2 * half if model.single_action else half)
    second = yaw_rad - (0.0 if model.single_action else half)
    poses = {
        'shaft': np.eye(4),
        'wrist': wrist,
        'jaw_a': wrist @ _turn_at(model.hinge_mm, 'y', first),
        'jaw_b': wrist @ _turn_at(model.hinge_mm, 'y', second),
    }
    for name, jaw, side in (('link_a', 'jaw_a', -1), ('link_b', 'jaw_b', 1)):
        poses[name] = _link_pose(model, poses[jaw], side) if model.link_mm else np.eye(4)
    return poses


def shaded(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Darken `paint[3]` where other pieces, or folds of the same one, keep the light away.

    After Bunnell (GPU Gems 2, 2005): every surface near a vertex is a disc that covers a part
    of its sky. The shaft beyond the nearest 15 mm is left out.
    """
    pieces = tuple(pieces)
    corners = np.concatenate([piece.mesh.positions[piece.mesh.faces] for piece in pieces])
    corners = corners[corners[..., 2].max(axis=1) > -15.0].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 2
    rng = np.random.default_rng(0)
    picked = rng.choice(len(area), size=BLOCKERS, p=area / area.sum())
    share = rng.dirichlet((1.0, 1.0, 1.0), size=BLOCKERS)
    places = np.einsum('nk,nkd->nd', share, corners[picked]).astype(np.float32)
    facing = (cross[picked] / np.maximum(2 * area[picked, None], 1e-12)).astype(np.float32)
    disc = np.float32(area.sum() / BLOCKERS)
    return tuple(
        replace(piece, mesh=_darkened(piece.mesh, places, facing, disc)) for piece in pieces
    )


def _darkened(mesh: Mesh, places: np.ndarray, facing: np.ndarray, disc: np.float32) -> Mesh:
    away = places[None] - mesh.positions[:, None]
    squared = np.einsum('nmd,nmd->nm', away, away) + np.float32(1e-6)
    distance = np.sqrt(squared)
    seen = np.einsum('nmd,nd->nm', away, mesh.normals) / distance
    # A disc counts from both sides: pieces reach into each other.
    turned = np.abs(np.einsum('nmd,md->nm', away, facing)) / distance
    covered = disc * np.maximum(seen - 0.1, 0) * turned / (np.pi * squared + disc)
    covered[squared > 36.0] = 0
    paint = mesh.paint.copy()
    paint[:, 3] = np.clip(1.1 - 1.0 * covered.sum(axis=1), 0.12, 1.0)
    return replace(mesh, paint=paint)


def _turn_at(z_mm: float, axis: str, angle_rad: float) -> np.ndarray:
    """A rotation about an axis through (0, 0, z)."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    pose = np.eye(4)
    if axis == 'x':
        pose[1:3, 1:3] = [[cos, -sin], [sin, cos]]
    else:
        pose[0, 0], pose[0, 2], pose[2, 0], pose[2, 2] = cos, sin, -sin, cos
    pose[:3, 3] = np.array([0, 0, z_mm]) - pose[:3, :3] @ np.array([0, 0, z_mm])
    return pose


def _link_pose(model: Model, jaw: np.ndarray, side: int) -> np.ndarray:
    """The rod between a jaw's tail and the push rod; the link's own frame begins at the rod."""
    tail = jaw @ np.array([side * model.tail_mm, 0, model.link_mm, 1.0])
    x = float(np.clip(tail[0] / model.link_length_mm, -0.95, 0.95))
    angle = np.arcsin(x)
    pose = _turn_at(0.0, 'y', float(angle))
    pose[:3, 3] = [0, 0, tail[2] - model.link_length_mm * np.cos(angle)]
    return pose


def shortest_turn(direction: np.ndarray, roll_rad: float) -> np.ndarray:
    """3 x 3 whose z column is a direction: the shortest turn from +z, after a roll about z."""
    z = unit(direction)
    x, y, cos = z
    k = 1.0 / max(1.0 + cos, 1e-6)
    shortest = np.array(
        [[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, cos]]
    )
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    return shortest @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
