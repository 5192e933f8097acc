"""Shafts, and what joins them to the jaws: the da Vinci's cabled wrist, the laparoscopic hinge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.instruments.materials import MARK_TILE_MM
from msdesis_ros.data.synth.instruments.outlines import bevelled, rectangle
from msdesis_ros.data.synth.instruments.pieces import Piece
from msdesis_ros.data.synth.instruments.shapes import (
    bar,
    block,
    loft,
    mirrored,
    moved,
    stacked,
    tube,
    turned,
)
from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.stereo_frame import Part

SHAFT_LENGTH_MM = 330.0
# All da Vinci models are built at this shaft radius and all laparoscopic ones at the other, then
# scaled as a whole.
DA_VINCI_RADIUS_MM = 4.2
LAPAROSCOPIC_RADIUS_MM = 2.5
DA_VINCI_PITCH_MM, DA_VINCI_HINGE_MM = 10.0, 19.0


def shaft(radius_mm: float, *, marks_at_mm: float | None, segments: int = 32) -> list[Piece]:
    """A shaft that ends at z = 0; laser marks, if any, begin at z = marks_at_mm (< 0)."""
    end = 0.0 if marks_at_mm is None else marks_at_mm
    pieces = [Piece(_rod(radius_mm, -SHAFT_LENGTH_MM, end, segments), 'shaft', Part.SHAFT)]
    if marks_at_mm is not None:
        top = min(marks_at_mm + MARK_TILE_MM, 0.0)
        band = _rod(radius_mm, marks_at_mm, top, segments)
        # The tile begins at the band's end nearest to the jaws: the rings are there.
        turned_tile = (MARK_TILE_MM, 0.0) - band.coords
        band = replace(band, coords=turned_tile.astype(np.float32))
        pieces.append(Piece(band, 'marks', Part.SHAFT))
        if top < -0.1:
            pieces.append(Piece(_rod(radius_mm, top, 0.0, segments), 'shaft', Part.SHAFT))
    return pieces


def _rod(radius_mm: float, start_mm: float, end_mm: float, segments: int) -> Mesh:
    """A rod with rows close enough for blood to be painted on, and coordinates from its start."""
    steps = [start_mm, *(z for z in (-160.0, -90.0) if start_mm < z < end_mm)]
    near = max(steps[-1], -60.0)
    steps += list(np.linspace(near, end_mm, max(2, round((end_mm - near) / 7.0)))[1:])
    if near > steps[0] and near not in steps:
        steps.insert(-1, near)
    steps = sorted(set(steps))
    mesh = turned(
        [(0.0, steps[0]), *((radius_mm, z) for z in steps), (0.0, steps[-1])], segments=segments
    )
    angle = np.arctan2(mesh.positions[:, 1], mesh.positions[:, 0]) % (2 * np.pi)
    # The seam's second edge has the whole circle behind it.
    late = mesh.coords[:, 1] > np.pi * radius_mm
    angle = np.where(late & (angle < 0.1), angle + 2 * np.pi, angle)
    coords = np.stack([mesh.positions[:, 2] - start_mm, angle * radius_mm], axis=1)
    return replace(mesh, coords=coords.astype(np.float32))


def da_vinci_wrist() -> list[Piece]:
    """Two clevises at right angles, pulleys, pins and steel cables: pitch at 10, hinge at 19."""
    pitch, hinge = DA_VINCI_PITCH_MM, DA_VINCI_HINGE_MM
    head = turned(
        [(0, -1.5), (4.3, -1.5), (4.3, 0.3), (3.9, 0.5), (3.9, 1.1), (4.15, 1.3), (4.15, 3.8),
         (3.9, 4.1), (3.4, 4.2), (0, 4.2)], segments=28, bevel_mm=0.0,
    )  # fmt: skip
    pieces = [Piece(head, 'turned', Part.WRIST)]
    tine = tine_mesh(outer_mm=4.15, inner_mm=2.75, half_mm=2.9, start_mm=3.6, pin_mm=pitch)
    pieces += [Piece(side, 'steel', Part.WRIST) for side in (tine, mirrored(tine, 'x'))]
    pieces += [Piece(part, 'polished', Part.WRIST) for part in pin_meshes(4.28, 1.25, pitch, 'x')]
    for angle in (0.9, 0.9 + np.pi):
        pieces += _screw(4.15, 2.5, angle)
    hub = turned([(0, -0.95), (2.3, -0.95), (2.3, 0.95), (0, 0.95)], axis='x', segments=20)
    pieces.append(Piece(moved(hub, z_mm=pitch), 'steel', Part.WRIST, 'wrist'))
    for x in (-2.15, -1.4, 1.4, 2.15):
        pulley = pulley_mesh(2.35, 0.66, 'x')
        pieces.append(Piece(moved(pulley, x_mm=x, z_mm=pitch), 'turned', Part.WRIST, 'wrist'))
    body = loft(
        stacked(
            [rectangle(1.9, 3.6, 0.3), rectangle(2.3, 4.6, 0.3), rectangle(2.9, 6.0, 0.5),
             rectangle(3.0, 6.5, 0.6), rectangle(2.6, 6.5, 0.6)],
            [pitch, pitch + 1.8, pitch + 2.8, pitch + 4.2, pitch + 4.8],
        )
    )  # fmt: skip
    pieces.append(Piece(body, 'steel', Part.WRIST, 'wrist'))
    pieces += [
        Piece(side, 'steel', Part.WRIST, 'wrist')
        for side in hinge_tines(3.55, 2.0, 2.6, pitch + 4.0, hinge)
    ]
    pieces += [
        Piece(part, 'polished', Part.WRIST, 'wrist') for part in pin_meshes(3.66, 1.1, hinge, 'y')
    ]
    for y in (-1.5, 1.5):
        pulley = moved(pulley_mesh(2.3, 0.8, 'y'), y_mm=y, z_mm=hinge)
        pieces.append(Piece(pulley, 'turned', Part.WRIST, 'wrist'))
    return pieces + _cables(pitch, hinge)


def _cables(pitch: float, hinge: float) -> list[Piece]:
    """Steel wire from the shaft over the pitch pulleys to the jaws' pulleys."""
    pieces = []
    for x in (-1, 1):
        for y in (-1, 1):
            first = [(1.4 * x, 1.5 * y, 3.6), (1.4 * x, 2.1 * y, pitch - 0.6),
                     (1.4 * x, 2.15 * y, pitch + 0.3)]  # fmt: skip
            second = [(1.4 * x, 2.15 * y, pitch - 0.3), (1.45 * x, 2.1 * y, pitch + 1.0),
                      (1.85 * x, 1.7 * y, pitch + 4.5), (2.15 * x, 1.5 * y, hinge - 0.6),
                      (2.2 * x, 1.5 * y, hinge + 0.4)]  # fmt: skip
            pieces.append(Piece(tube(first, 0.27, segments=6), 'cable', Part.WRIST))
            pieces.append(Piece(tube(second, 0.27, segments=6), 'cable', Part.WRIST, 'wrist'))
    return pieces


def tine_mesh(
    *, outer_mm: float, inner_mm: float, half_mm: float, start_mm: float, pin_mm: float
) -> Mesh:
    """One arm of a clevis on the +x side, a part of a cylinder with a round end about its pin."""
    angle = np.radians([0, 30, 56, 78])
    halves = [half_mm, half_mm, half_mm, *(half_mm * np.cos(angle))]
    heights = [
        start_mm,
        (start_mm + pin_mm) / 2,
        pin_mm - 0.4,
        *(pin_mm + half_mm * np.sin(angle)),
    ]
    outlines = []
    for half in halves:
        y = np.linspace(-half, half, 4)
        x = np.sqrt(np.maximum(outer_mm**2 - y**2, inner_mm**2 + 0.05))
        corners = [(inner_mm, half), (inner_mm, -half), *zip(x, y, strict=True)]
        outlines.append(bevelled(corners[1:] + corners[:1], 0.22))
    return loft(stacked(outlines, heights), bevel_mm=0.12)


def hinge_tines(
    outer_mm: float, inner_mm: float, half_mm: float, start_mm: float, pin_mm: float
) -> list[Mesh]:
    """Both arms of a clevis whose pin runs along y."""
    tine = tine_mesh(
        outer_mm=outer_mm, inner_mm=inner_mm, half_mm=half_mm, start_mm=start_mm, pin_mm=pin_mm
    )
    quarter = np.eye(4)
    quarter[:2, :2] = [[0, -1], [1, 0]]
    tine = tine.transformed(quarter)
    return [tine, mirrored(tine, 'y')]


def pin_meshes(reach_mm: float, radius_mm: float, z_mm: float, axis: str) -> list[Mesh]:
    """The two riveted heads of a pin that stick out of a clevis, each with a dimple."""
    head = turned(
        [(0, reach_mm - 1.2), (radius_mm, reach_mm - 1.2), (radius_mm, reach_mm - 0.12),
         (radius_mm - 0.18, reach_mm), (0.45 * radius_mm, reach_mm),
         (0.3 * radius_mm, reach_mm - 0.15), (0, reach_mm - 0.15)],
        axis=axis, segments=14, bevel_mm=0.0,
    )  # fmt: skip
    return [moved(part, z_mm=z_mm) for part in (head, mirrored(head, axis))]


def pulley_mesh(radius_mm: float, width_mm: float, axis: str) -> Mesh:
    """A disc with a groove for a cable."""
    r, w = radius_mm, width_mm / 2
    return turned(
        [(0, -w), (r - 0.12, -w), (r, 0.08 - w), (r, -0.6 * w), (0.8 * r, -0.2 * w),
         (0.8 * r, 0.2 * w), (r, 0.6 * w), (r, w - 0.08), (r - 0.12, w), (0, w)],
        axis=axis, segments=14, bevel_mm=0.0,
    )  # fmt: skip


def _screw(radius_mm: float, z_mm: float, angle_rad: float) -> list[Piece]:
    head = turned(
        [(0, -0.3), (0.62, -0.3), (0.62, 0.05), (0, 0.08)], axis='x', segments=10, bevel_mm=0.0
    )
    slot = block((0.0, -0.45, -0.09), (0.11, 0.45, 0.09), bevel_mm=0.02, along='x')
    pose = np.eye(4)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    pose[:2, :2] = [[cos, -sin], [sin, cos]]
    pose[:3, 3] = [cos * radius_mm, sin * radius_mm, z_mm]
    return [
        Piece(head.transformed(pose), 'dark_steel', Part.WRIST),
        Piece(slot.transformed(pose), 'hole', Part.WRIST),
    ]


def laparoscopic_housing(hinge_mm: float, *, slot_mm: float = 1.0) -> list[Piece]:
    """A collar and two long cheeks with a slot between, in which the links can be seen."""
    # A polygon's flats lie deeper than its corners: stand proud of the shaft.
    radius = LAPAROSCOPIC_RADIUS_MM + 0.07
    collar = turned(
        [(0, -1.0), (radius, -1.0), (radius, -0.7), (2.38, -0.5), (2.36, 0.2), (2.52, 0.4),
         (2.52, 2.6), (2.44, 2.9), (0, 2.9)], segments=28, bevel_mm=0.0,
    )  # fmt: skip
    pieces = [Piece(collar, 'turned', Part.WRIST)]
    cheeks = hinge_tines(2.48, slot_mm, 2.1, 2.4, hinge_mm)
    pieces += [Piece(mesh, 'steel', Part.WRIST) for mesh in cheeks]
    pieces += [
        Piece(mesh, 'polished', Part.WRIST) for mesh in pin_meshes(2.56, 0.75, hinge_mm, 'y')
    ]
    rod = tube([(0, 0, 0.5), (0, 0, hinge_mm - 6.6)], 0.75, segments=10)
    pieces.append(Piece(rod, 'turned', Part.WRIST))
    return pieces


def link_pieces(length_mm: float, *, y_mm: float = 0.45) -> list[Piece]:
    """The two flat links between the push rod and the jaws' tails, in the links' own frames."""
    pieces = []
    for joint, y in (('link_a', y_mm), ('link_b', -y_mm)):
        path = np.array([[0, y, -0.5], [0, y, length_mm / 2], [0, y, length_mm + 0.5]])
        mesh = bar(path, rectangle(1.0, 0.6, 0.15), (0, 1, 0))
        rivet = turned(
            [(0, -0.45), (0.5, -0.45), (0.5, 0.45), (0, 0.45)], axis='y', segments=10, bevel_mm=0.0
        )
        pieces.append(Piece(mesh, 'steel', Part.WRIST, joint))
        pieces.append(Piece(moved(rivet, y_mm=y), 'polished', Part.WRIST, joint))
        pieces.append(Piece(moved(rivet, y_mm=y, z_mm=length_mm), 'polished', Part.WRIST, joint))
    return pieces


def scaled(mesh: Mesh, factor: float) -> Mesh:
    """The mesh and its texture coordinates, larger by a factor."""
    size = np.float32(factor)
    return replace(mesh, positions=mesh.positions * size, coords=mesh.coords * size)
