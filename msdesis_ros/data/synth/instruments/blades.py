"""Scissors, monopolar tips, suction tubes, needles and clips."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.instruments.jaws import both, hub
from msdesis_ros.data.synth.instruments.outlines import bevelled, rectangle, rounded_path
from msdesis_ros.data.synth.instruments.pieces import Piece
from msdesis_ros.data.synth.instruments.shapes import (
    bar,
    loft,
    moved,
    stacked,
    tube,
    turned,
)
from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.stereo_frame import Part


def scissors(hinge_mm: float, size: float, *, length_mm: float, bow: float) -> list[Piece]:
    """Two curved blades, each ground to an edge that slides on the other."""
    h, s = hinge_mm, size
    way = np.array([0.3, 2.0, 3.5, 0.4 * length_mm, 0.6 * length_mm, 0.78 * length_mm,
                    0.92 * length_mm, length_mm]) * 1.0  # fmt: skip
    back = np.interp(way / length_mm, [0, 0.15, 0.3, 0.7, 0.92, 1], [1.5, 1.9, 1.9, 1.4, 0.8, 0.3])
    edge = np.interp(way / length_mm, [0, 0.15, 0.3, 0.8, 1], [1.5, 1.2, 0.75, 0.45, 0.1])
    thick = np.interp(way / length_mm, [0, 0.3, 0.7, 1], [0.95, 1.0, 0.75, 0.35])
    outlines = []
    for w, b, e, t in zip(way, back * s, edge * s, thick * s, strict=True):
        # The edge lies at -x, on the sliding face; the blade is hollow ground from there.
        corners = [(-e, 0.02), (-e + 0.1, 0.1 + 0.12 * t), (0.1 * b, t), (b - 0.25, t),
                   (b, 0.6 * t), (b, 0.02)]  # fmt: skip
        outlines.append(bevelled(corners, 0.1) + (0, bow * w**2))
    blade = loft(stacked(outlines, h + way), bevel_mm=0.1)
    pieces = both([(hub(h, 2.4 * s, 0.04, 0.98 * s), 'steel'), (blade, 'polished')])
    return [
        piece if piece.joint == 'jaw_a' or piece.finish != 'polished' else _rebent(piece, bow, h)
        for piece in pieces
    ]


def _rebent(piece: Piece, bow: float, hinge_mm: float) -> Piece:
    """Turned half about z, the second blade bends the other way; bend it back to the first."""
    mesh = piece.mesh
    way = np.maximum(mesh.positions[:, 2] - hinge_mm, 0.0)
    positions = mesh.positions.copy()
    positions[:, 1] += (2 * bow * way**2).astype(np.float32)
    slope = (4 * bow * way).astype(np.float32)
    normals = mesh.normals.copy()
    normals[:, 2] -= slope * normals[:, 1]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    tangents = mesh.tangents.copy()
    tangents[:, 1] += slope * tangents[:, 2]
    tangents -= (tangents * normals).sum(1, keepdims=True) * normals
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)
    moved_mesh = Mesh(positions, normals, tangents, mesh.coords, mesh.paint, mesh.faces)
    return Piece(moved_mesh, piece.finish, piece.part, piece.joint)


def monopolar_tip(base_mm: float, size: float, *, shape: str, joint: str) -> list[Piece]:
    """An insulated holder with a ceramic collar and a wire hook or a spatula in front."""
    b, s = base_mm, size
    holder = turned(
        [(0, b - 0.5), (2.6 * s, b - 0.5), (2.6 * s, b + 2.0 * s), (2.2 * s, b + 4.6 * s),
         (1.6 * s, b + 5.6 * s), (0, b + 5.6 * s)], segments=24,
    )  # fmt: skip
    collar = turned(
        [(0, b + 5.2 * s), (1.35 * s, b + 5.2 * s), (1.35 * s, b + 7.4 * s),
         (1.0 * s, b + 8.0 * s), (0, b + 8.0 * s)], segments=20,
    )  # fmt: skip
    start = b + 7.5 * s
    if shape == 'hook':
        corners = [(0, 0, start), (0, 0, start + 8.5 * s), (3.4 * s, 0, start + 8.7 * s),
                   (3.9 * s, 0, start + 7.9 * s)]  # fmt: skip
        path = rounded_path(corners, 1.4 * s, steps=6)
        width = np.interp(np.arange(len(path)), [0, 6, len(path) - 1], [1.05, 0.95, 0.7]) * s
        section = np.stack([rectangle(1.25 * w, w, 0.3 * s) for w in width])
        metal = bar(path, section, (0, 1, 0), bevel_mm=0.15)
    else:
        z = start + s * np.array([0.0, 3.5, 5.5, 8.5, 10.4, 11.0])
        half_x = s * np.array([0.5, 0.5, 0.28, 0.22, 0.2, 0.12])
        half_y = s * np.array([0.5, 0.55, 1.25, 1.35, 1.15, 0.6])
        outlines = [rectangle(2 * x, 2 * y, 0.12 * s) for x, y in zip(half_x, half_y, strict=True)]
        metal = loft(stacked(outlines, z), bevel_mm=0.08)
    return [
        Piece(holder, 'sleeve', Part.WRIST, joint),
        Piece(collar, 'ceramic', Part.WRIST, joint),
        Piece(metal, 'steel', Part.JAWS, joint),
    ]


def suction_tip(radius_mm: float, length_mm: float, *, holes: int) -> list[Piece]:
    """An open tube with rings of side holes near its end."""
    r, end = radius_mm, length_mm
    wall = turned(
        [(0, -0.5), (r, -0.5), (r, 0.6 * end), (r, end - 0.25), (r - 0.12, end), (r - 0.5, end),
         (r - 0.6, end - 0.3), (r - 0.6, end - 8.0), (0, end - 8.0)], segments=32,
    )  # fmt: skip
    bore = turned([(0, end - 8.5), (r - 0.55, end - 8.5), (r - 0.55, end - 7.5), (0, end - 7.5)])
    pieces = [Piece(wall, 'turned', Part.JAWS), Piece(bore, 'hole', Part.JAWS)]
    for number in range(holes):
        row, place = divmod(number, 4)
        angle = np.pi / 2 * place + (np.pi / 4 if row % 2 else 0.0)
        pieces += _side_hole(r, end - 3.0 - 2.6 * row, angle)
    return pieces


def _side_hole(radius_mm: float, z_mm: float, angle_rad: float) -> list[Piece]:
    """A dark disc that follows the tube, in a thin bevelled rim."""
    size = 0.26 * radius_mm + 0.1
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    pieces = []
    for finish, outer, low, high in (('polished', 1.22, -0.3, 0.035), ('hole', 1.0, -0.3, 0.06)):
        rings = []
        for scale, lift in ((outer, low), (outer, high - 0.03), (outer * 0.9, high)):
            across = scale * size * np.cos(turn)
            z = z_mm + scale * size * np.sin(turn)
            around = angle_rad + across / radius_mm
            out = radius_mm + lift
            rings.append(np.stack([out * np.cos(around), out * np.sin(around), z], axis=1))
        pieces.append(Piece(loft(np.stack(rings)), finish, Part.JAWS))
    return pieces


def suture_needle(radius_mm: float, *, share: float, wire_mm: float) -> Piece:
    """A curved needle: `share` of a circle in the x-z plane about the origin, its end flat.

    It begins at angle 0 (x = radius) with the end that holds the thread and runs to the point.
    """
    angle = np.linspace(0, 2 * np.pi * share, 28)
    path = radius_mm * np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    way = np.linspace(0, 1, 28)
    radius = wire_mm * np.interp(way, [0, 0.06, 0.75, 0.97, 1.0], [0.8, 1.0, 1.0, 0.35, 0.06])
    flat = np.interp(way, [0.2, 0.35, 0.65, 0.8], [1.0, 0.82, 0.82, 1.0])
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    section = ring[None] * np.stack([radius, radius * flat], axis=1)[:, None]
    return Piece(bar(path, section, (0, 1, 0), bevel_mm=0.02), 'needle', Part.JAWS)


def surgical_clip(length_mm: float, *, plastic: bool, gap_mm: float, closed: bool) -> list[Piece]:
    """A clip whose legs run along z from a bend at z = 0; gap_mm is between their ends.

    Open, it is a V, as an applier holds it. A polymer clip is thicker and has a lock at its end.
    """
    w, d = (0.95, 1.15) if plastic else (0.75, 0.95)
    g = gap_mm / 2 + d / 2
    back, middle = (g, 1.1 * g) if closed else (0.35 * g + 0.3, 0.75 * g + 0.2)
    corners = [(g, 0, length_mm), (middle, 0, length_mm * 0.5), (back, 0, 0.6), (0, 0, -0.4),
               (-back, 0, 0.6), (-middle, 0, length_mm * 0.5), (-g, 0, length_mm)]  # fmt: skip
    path = rounded_path(corners, 0.8, steps=4)
    pieces = [Piece(bar(path, rectangle(d, w, 0.16), (0, 1, 0)), 'clip', Part.JAWS)]
    if plastic and closed:
        lock = tube([(g + 0.5, 0, length_mm), (-g - 0.2, 0, length_mm + 0.2)], 0.5)
        pieces.append(Piece(lock, 'clip', Part.JAWS))
    elif plastic:
        hook = rounded_path([(g, 0, length_mm - 0.4), (g, 0, length_mm + 0.9),
                             (g - 1.3, 0, length_mm + 0.9)], 0.5)  # fmt: skip
        pieces.append(Piece(bar(hook, rectangle(0.7, w, 0.12), (0, 1, 0)), 'clip', Part.JAWS))
    if plastic:
        boss = turned([(0, -0.8), (0.55, -0.8), (0.55, 0.8), (0, 0.8)], axis='y', segments=14)
        pieces += [Piece(moved(boss, x_mm=x, z_mm=length_mm), 'clip', Part.JAWS) for x in (-g, g)]
    return pieces
