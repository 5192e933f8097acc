"""Jaws that hold: needle drivers, forceps, graspers, clip appliers.

Every function gives pieces for both jaws, closed, with the hinge's pin along y at z = hinge_mm.
Jaw `a` lies at x > 0; jaw `b` is the same, turned half about z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.instruments.outlines import bevelled, rectangle, rounded_path
from msdesis_ros.data.synth.instruments.pieces import Piece
from msdesis_ros.data.synth.instruments.shapes import (
    bar,
    hoop,
    loft,
    moved,
    stacked,
    turned,
)
from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.stereo_frame import Part

# z, inner x, outer x, low y, high y.
Row = tuple[float, float, float, float, float]
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])


def both(meshes: Sequence[tuple[Mesh, str]], part: Part = Part.JAWS) -> list[Piece]:
    """Pieces of jaw `a` and, turned half about z, of jaw `b`."""
    first = [Piece(mesh, finish, part, 'jaw_a') for mesh, finish in meshes]
    second = [Piece(mesh.transformed(HALF_TURN), finish, part, 'jaw_b') for mesh, finish in meshes]
    return first + second


def jaw_body(rows: Sequence[Row], *, edge_mm: float = 0.18, bow: float = 0.0) -> Mesh:
    """A bar with a flat inner and a rounded outer side; `bow` bends it: y = bow * way ** 2."""
    outlines = []
    start = rows[0][0]
    for z, inner, outer, low, high in rows:
        middle, half = (low + high) / 2, (high - low) / 2
        shift = bow * (z - start) ** 2
        x_flank = inner + 0.5 * (outer - inner)
        corners = [(inner, low), (x_flank, low), (outer, middle - 0.5 * half),
                   (outer, middle + 0.5 * half), (x_flank, high), (inner, high)]  # fmt: skip
        outlines.append(bevelled(corners, edge_mm) + (0, shift))
    return loft(stacked(outlines, [row[0] for row in rows]), bevel_mm=edge_mm)


def hub(hinge_mm: float, radius_mm: float, low_mm: float, high_mm: float) -> Mesh:
    """The disc of a jaw about the pin, y from low to high."""
    disc = turned(
        [(0, low_mm), (radius_mm, low_mm), (radius_mm, high_mm), (0, high_mm)],
        axis='y', segments=16,
    )  # fmt: skip
    return moved(disc, z_mm=hinge_mm)


def toothed(rows: Sequence[Row], *, start_mm: float, end_mm: float, pitch_mm: float) -> list[Row]:
    """The same jaw with teeth across its inner side, 0.3 mm deep."""
    table = np.array(rows)
    peaks = np.arange(start_mm, end_mm, pitch_mm)
    heights = sorted({*table[:, 0], *peaks, *(peaks + pitch_mm / 2)})
    out = []
    for z in heights:
        row = [float(np.interp(z, table[:, 0], table[:, k])) for k in range(1, 5)]
        in_teeth = start_mm <= z < end_mm
        valley = in_teeth and round((z - start_mm) / (pitch_mm / 2)) % 2 == 1
        out.append((float(z), row[0] + (0.34 if valley else 0.0), *row[1:]))
    return [(z, a, max(b, a + 0.1), c, d) for z, a, b, c, d in out]


def needle_driver(hinge_mm: float, size: float, *, long: bool) -> list[Piece]:
    """Short strong jaws with a carbide inlay; `size` scales with the wrist (1 = da Vinci)."""
    h, s = hinge_mm, size
    end = (13.5 if long else 10.5) * s
    rows: list[Row] = [
        (h + 0.4 * s, -1.0 * s, 1.7 * s, 0.08 * s, 0.95 * s),
        (h + 2.4 * s, -0.3 * s, 2.2 * s, -0.2 * s, 1.2 * s),
        (h + 3.6 * s, 0.16 * s, 2.3 * s, -1.55 * s, 1.55 * s),
        (h + 5.0 * s, 0.16 * s, 2.2 * s, -1.6 * s, 1.6 * s),
        (h + 0.75 * end, 0.16 * s, 1.75 * s, -1.3 * s, 1.3 * s),
        (h + end - 0.5 * s, 0.16 * s, 1.2 * s, -1.0 * s, 1.0 * s),
        (h + end, 0.2 * s, 0.75 * s, -0.7 * s, 0.7 * s),
    ]
    inlay = _inlay(
        [(h + 4.2 * s, 1.42 * s), (h + 0.75 * end, 1.18 * s), (h + end - 0.45 * s, 0.88 * s)],
        0.04 * s, 0.5 * s,
    )  # fmt: skip
    pieces = [(hub(h, 2.5 * s, 0.08 * s, 0.98 * s), 'steel'), (jaw_body(rows), 'steel')]
    return both([*pieces, (inlay, 'carbide')])


def _inlay(widths: Sequence[tuple[float, float]], inner: float, outer: float) -> Mesh:
    """A plate on the inner side of a jaw; widths: (z, half width)."""
    outlines = [
        bevelled([(inner, -half), (outer, -half), (outer, half), (inner, half)], 0.08)
        for _, half in widths
    ]
    return loft(stacked(outlines, [z for z, _ in widths]), bevel_mm=0.08)


def maryland(hinge_mm: float, size: float, *, length_mm: float, bow: float) -> list[Piece]:
    """Slender toothed jaws that taper to a point and bend to one side."""
    h, s, end = hinge_mm, size, length_mm
    rows: list[Row] = [
        (h + 0.4 * s, -0.9 * s, 1.5 * s, 0.08 * s, 0.95 * s),
        (h + 2.6 * s, -0.2 * s, 2.0 * s, -0.6 * s, 1.2 * s),
        (h + 4.2 * s, 0.1 * s, 1.9 * s, -1.3 * s, 1.3 * s),
        (h + 0.5 * end, 0.06 * s, 1.5 * s, -1.0 * s, 1.0 * s),
        (h + 0.8 * end, 0.05 * s, 1.05 * s, -0.72 * s, 0.72 * s),
        (h + end - 0.5 * s, 0.05 * s, 0.7 * s, -0.5 * s, 0.5 * s),
        (h + end, 0.1 * s, 0.45 * s, -0.28 * s, 0.28 * s),
    ]
    rows = toothed(rows, start_mm=h + 6.0 * s, end_mm=h + end - 1.0 * s, pitch_mm=1.5 * s)
    return both(
        [(hub(h, 2.4 * s, 0.08 * s, 0.98 * s), 'steel'), (jaw_body(rows, bow=bow), 'steel')]
    )


def fenestrated(
    hinge_mm: float, size: float, *, length_mm: float, half_mm: float, base: str, teeth: bool
) -> list[Piece]:
    """Jaws with a long window: a hoop on a base; `base` is the finish of the hub and neck."""
    h, s, end = hinge_mm, size, length_mm
    start = h + 4.6 * s
    rim = 0.42 * half_mm
    straight = half_mm - rim / 2
    tip = h + end - straight - rim / 2
    turn = np.linspace(0, np.pi, 9)[1:-1]
    taper = np.linspace(1.0, 0.72, 5)
    z_side = np.linspace(start, tip, 5)
    y = np.concatenate([straight * taper, 0.72 * straight * np.cos(turn), -straight * taper[::-1]])
    z = np.concatenate([z_side, tip + straight * np.sin(turn), z_side[::-1]])
    share = np.clip((z - start) / (h + end - start), 0, 1)
    depth = (1.55 - 0.55 * share) * s
    path = np.stack([0.06 * s + depth / 2, y, z], axis=1)
    section = np.stack([rectangle(rim, d, 0.16 * s) for d in depth])
    meshes = [(hoop(path, section, (1.0, 0.0, 0.0)), 'steel')]
    neck: list[Row] = [
        (h + 0.4 * s, -0.9 * s, 1.5 * s, 0.08 * s, 0.95 * s),
        (h + 2.4 * s, -0.2 * s, 2.0 * s, -0.5 * s, 1.2 * s),
        (h + 3.8 * s, 0.1 * s, 1.95 * s, -half_mm, half_mm),
        (start + 0.5 * s, 0.06 * s, 1.7 * s, -half_mm, half_mm),
        (start + 1.1 * s, 0.06 * s, 1.5 * s, -0.8 * half_mm, 0.8 * half_mm),
    ]
    meshes += [(hub(h, 2.4 * s, 0.08 * s, 0.98 * s), base), (jaw_body(neck), base)]
    if teeth:
        for side in (-1, 1):
            low, high = sorted((side * (straight - rim * 0.36), side * (straight + rim * 0.3)))
            plate = loft(
                stacked(
                    [bevelled([(0.02 * s, low * k), (0.3 * s, low * k), (0.3 * s, high * k),
                               (0.02 * s, high * k)], 0.05) for k in (1.0, 0.78)],
                    [start + 0.6 * s, tip - 0.2 * s],
                )
            )  # fmt: skip
            meshes.append((plate, 'ribbed'))
    return both(meshes)


def lap_grasper(hinge_mm: float, *, length_mm: float, kind: str) -> list[Piece]:
    """Jaws of a 5 mm grasper with tails behind the hinge; kind: 'window', 'teeth' or 'dolphin'."""
    h, end = hinge_mm, length_mm
    tail: list[Row] = [
        (h - 3.9, -1.25, -0.25, 0.08, 0.78),
        (h - 2.0, -1.3, 0.1, 0.08, 0.78),
        (h + 0.2, -1.3, 1.3, 0.08, 0.78),
        (h + 1.8, -0.5, 1.7, 0.08, 0.78),
    ]
    meshes = [(jaw_body(tail, edge_mm=0.12), 'steel'), (hub(h, 1.75, 0.08, 0.78), 'steel')]
    if kind == 'window':
        pieces = fenestrated(h, 0.78, length_mm=end, half_mm=2.2, base='steel', teeth=True)
        return pieces + both(meshes)
    point = 0.55 if kind == 'dolphin' else 1.0
    rows: list[Row] = [
        (h + 0.6, -0.3, 1.7, 0.08, 0.8),
        (h + 2.2, 0.05, 1.95, -1.0, 1.2),
        (h + 3.6, 0.05, 2.05, -1.8, 1.8),
        (h + 0.5 * end, 0.05, 1.7, -1.75 * (0.4 + 0.6 * point), 1.75 * (0.4 + 0.6 * point)),
        (h + 0.85 * end, 0.05, 1.2, -1.6 * point, 1.6 * point),
        (h + end - 0.5, 0.05, 0.9, -1.3 * point, 1.3 * point),
        (h + end, 0.1, 0.55, -0.8 * point, 0.8 * point),
    ]
    rows = toothed(rows, start_mm=h + 4.5, end_mm=h + end - 1.0, pitch_mm=1.3)
    return both([*meshes, (jaw_body(rows), 'steel')])


def clip_jaws(hinge_mm: float, size: float, *, length_mm: float) -> list[Piece]:
    """Two bowed arms that end in grooved pads for a clip."""
    h, s, end = hinge_mm, size, length_mm
    corners = [(0.6, 0, h + 0.5), (1.5, 0, h + 3.0 * s), (2.1, 0, h + 0.45 * end),
               (1.15, 0, h + 0.72 * end), (0.95, 0, h + end)]  # fmt: skip
    path = rounded_path([(x * s, y, z) for x, y, z in corners], 3.0 * s, steps=4)
    width = np.interp(path[:, 2], [h, h + 3 * s, h + 0.7 * end, h + end], [1.2, 2.0, 2.6, 2.2])
    depth = np.interp(path[:, 2], [h, h + 3 * s, h + 0.7 * end, h + end], [1.6, 1.5, 1.3, 0.9])
    section = np.stack(
        [rectangle(w * s, d * s, 0.2 * s) for w, d in zip(width, depth, strict=True)]
    )
    arm = bar(path, section, (1.0, 0.0, 0.0), bevel_mm=0.2)
    pads = []
    for y in (-0.75 * s, 0.75 * s):
        rows = [(h + 0.66 * end, 0.25 * s, 1.2 * s, y - 0.34 * s, y + 0.34 * s),
                (h + end + 0.25, 0.25 * s, 1.0 * s, y - 0.34 * s, y + 0.34 * s)]  # fmt: skip
        pads.append((jaw_body(rows, edge_mm=0.1), 'steel'))
    lip: list[Row] = [
        (h + end - 0.2, 0.12 * s, 1.3 * s, -1.1 * s, 1.1 * s),
        (h + end + 0.7, 0.25 * s, 1.0 * s, -0.9 * s, 0.9 * s),
    ]
    meshes = [(hub(h, 2.3 * s, 0.08 * s, 0.98 * s), 'steel'), (arm, 'steel'), *pads]
    return both([*meshes, (jaw_body(lip, edge_mm=0.12), 'steel')])


def darkened_tips(pieces: Sequence[Piece], from_z_mm: float, amount: float) -> list[Piece]:
    """Char (`paint[2]`) on jaws that burn tissue, rising to `amount` at their tips."""
    tip = max(float(piece.mesh.positions[:, 2].max()) for piece in pieces)
    out = []
    for piece in pieces:
        paint = piece.mesh.paint.copy()
        share = (piece.mesh.positions[:, 2] - from_z_mm) / max(tip - from_z_mm, 1e-6)
        paint[:, 2] = np.clip(share, 0, 1) * amount
        out.append(replace(piece, mesh=replace(piece.mesh, paint=paint)))
    return out
