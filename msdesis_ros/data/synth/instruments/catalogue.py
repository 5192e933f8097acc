"""Which instruments there are: each a model, built once per worker and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.instruments import blades, jaws, shafts
from msdesis_ros.data.synth.instruments.pieces import Model, Piece, shaded
from msdesis_ros.data.synth.instruments.shapes import moved, tube, turned
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

FAMILIES = ('da_vinci', 'laparoscopic')
PITCH, HINGE = shafts.DA_VINCI_PITCH_MM, shafts.DA_VINCI_HINGE_MM
LAP_HINGE = 13.0
LINK_LENGTH, TAIL = 4.2, 0.8


@dataclass(frozen=True)
class Entry:
    """One instrument of the catalogue.

    shaft_radius_mm: what it is made for; opening_deg: how far its jaws open at most; charred:
    whether it burns tissue.
    """

    name: str
    tool_type: ToolType
    family: str
    shaft_radius_mm: float
    opening_deg: float
    build: Callable[[], Model]
    charred: bool = False


def entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        UsageError: unknown name.
    """
    if name not in ENTRIES:
        raise UsageError(f'unknown instrument {name!r}; known are {", ".join(sorted(ENTRIES))}')
    return ENTRIES[name]


@functools.cache
def model_of(name: str, marks_at_mm: float | None) -> Model:
    """The model of an entry at its shaft radius; laser marks begin at marks_at_mm (< 0)."""
    known = entry(name)
    made = _built(name)
    da_vinci = known.family == 'da_vinci'
    reference = shafts.DA_VINCI_RADIUS_MM if da_vinci else shafts.LAPAROSCOPIC_RADIUS_MM
    factor = known.shaft_radius_mm / reference
    distal = [replace(piece, mesh=shafts.scaled(piece.mesh, factor)) for piece in made.pieces]
    rod = shafts.shaft(known.shaft_radius_mm, marks_at_mm=marks_at_mm)
    return replace(
        made,
        pieces=(*rod, *distal),
        pitch_mm=made.pitch_mm * factor,
        hinge_mm=made.hinge_mm * factor,
        tip_mm=made.tip_mm * factor,
        link_mm=made.link_mm * factor,
        tail_mm=made.tail_mm * factor,
        link_length_mm=made.link_length_mm * factor,
    )


@functools.cache
def _built(name: str) -> Model:
    made = entry(name).build()
    return replace(made, pieces=shaded(made.pieces))


def _wristed(pieces: list[Piece], tip_mm: float) -> Model:
    return Model((*shafts.da_vinci_wrist(), *pieces), PITCH, HINGE, tip_mm)


def _hinged(pieces: list[Piece], tip_mm: float, *, single: bool = False) -> Model:
    """A laparoscopic instrument with links in a slot."""
    distal = [*shafts.laparoscopic_housing(LAP_HINGE), *_link_ends(), *pieces]
    link_mm = LAP_HINGE - 3.2
    return Model(
        tuple(distal), 0.0, LAP_HINGE, tip_mm, link_mm, TAIL, LINK_LENGTH, single_action=single
    )


def _link_ends() -> list[Piece]:
    return shafts.link_pieces(LINK_LENGTH)


def _wires(pieces: list[Piece]) -> list[Piece]:
    """Add the two insulated wires of a bipolar instrument, along its wrist."""
    for y in (-1, 1):
        path = [(0.4, 2.6 * y, 3.6), (0.6, 2.75 * y, PITCH - 1.0), (0.6, 2.7 * y, PITCH + 0.6)]
        onward = [(0.6, 2.7 * y, PITCH), (0.9, 3.2 * y, PITCH + 3.0), (1.7, 2.1 * y, HINGE - 1.5),
                  (1.9, 1.0 * y, HINGE + 2.5)]  # fmt: skip
        pieces.append(Piece(tube(path, 0.36, segments=6), 'ring', Part.WRIST))
        pieces.append(Piece(tube(onward, 0.36, segments=6), 'ring', Part.WRIST, 'wrist'))
    return pieces


def _needle_driver(*, long: bool) -> Model:
    end = 13.5 if long else 10.5
    return _wristed(jaws.needle_driver(HINGE, 1.0, long=long), HINGE + end)


def _maryland(*, bipolar: bool) -> Model:
    pieces = jaws.maryland(HINGE, 1.0, length_mm=19.0, bow=0.007)
    if bipolar:
        pieces = _wires(jaws.darkened_tips(pieces, HINGE + 9.0, 0.55))
    return _wristed(pieces, HINGE + 19.0)


def _fenestrated_bipolar() -> Model:
    pieces = jaws.fenestrated(HINGE, 1.0, length_mm=21.0, half_mm=2.3, base='plastic', teeth=False)
    return _wristed(_wires(jaws.darkened_tips(pieces, HINGE + 10.0, 0.5)), HINGE + 21.0)


def _prograsp() -> Model:
    pieces = jaws.fenestrated(HINGE, 1.05, length_mm=26.0, half_mm=2.6, base='steel', teeth=True)
    return _wristed(pieces, HINGE + 26.0)


def _scissors(*, cover: bool) -> Model:
    pieces = blades.scissors(HINGE, 1.0, length_mm=14.5, bow=0.008)
    if not cover:
        return _wristed(pieces, HINGE + 14.5)
    pieces = jaws.darkened_tips(pieces, HINGE + 6.0, 0.4)
    return Model((*_tip_cover(), *pieces), PITCH, HINGE, HINGE + 14.5)


def _tip_cover() -> list[Piece]:
    """The insulating cover of monopolar scissors: two cones that meet in a ball at the wrist."""
    ball = [(4.3, PITCH), (4.15, PITCH + 1.1), (3.75, PITCH + 2.1)]
    back = turned(
        [(0, -6.0), (4.5, -6.0), (4.75, -5.0), (4.6, 2.0), (4.35, PITCH - 2.0), *ball,
         (2.4, PITCH + 3.6), (0, PITCH + 4.2)], segments=28,
    )  # fmt: skip
    front = turned(
        [(0, PITCH - 4.2), (2.4, PITCH - 3.6), (3.8, PITCH - 2.1), (4.2, PITCH - 1.1),
         (4.32, PITCH), (4.25, PITCH + 3.0), (3.75, HINGE - 1.5), (3.45, HINGE + 0.7),
         (3.1, HINGE + 0.9), (2.8, HINGE + 0.4), (0, HINGE + 0.2)], segments=28,
    )  # fmt: skip
    band = turned([(0, -5.2), (4.82, -5.2), (4.82, -3.6), (0, -3.6)], segments=28)
    return [
        Piece(back, 'sleeve', Part.WRIST),
        Piece(band, 'ring', Part.WRIST),
        Piece(front, 'sleeve', Part.WRIST, 'wrist'),
    ]


def _monopolar(shape: str) -> Model:
    tip = blades.monopolar_tip(HINGE - 2.5, 1.0, shape=shape, joint='jaw_a')
    tip = [*tip[:2], *jaws.darkened_tips(tip[2:], HINGE + 9.0, 0.75)]
    disc = jaws.hub(HINGE, 2.3, -1.0, 1.0)
    end = HINGE - 2.5 + (16.5 if shape == 'hook' else 18.5)
    return _wristed([Piece(disc, 'steel', Part.WRIST, 'jaw_a'), *tip], end)


def _lap_monopolar(shape: str) -> Model:
    tip = blades.monopolar_tip(2.0, 0.92, shape=shape, joint='shaft')
    tip = [*tip[:2], *jaws.darkened_tips(tip[2:], 10.0, 0.8)]
    neck = turned([(0, -0.5), (2.42, -0.5), (2.42, 2.2), (0, 2.2)], segments=28)
    end = 2.0 + 0.92 * (16.2 if shape == 'hook' else 18.5)
    return Model((Piece(neck, 'sleeve', Part.WRIST), *tip), 0.0, 0.0, end)


def _lap_grasper(length_mm: float, kind: str, *, single: bool = False) -> Model:
    pieces = jaws.lap_grasper(LAP_HINGE, length_mm=length_mm, kind=kind)
    return _hinged(pieces, LAP_HINGE + length_mm, single=single)


def _lap_maryland() -> Model:
    pieces = jaws.maryland(LAP_HINGE, 0.72, length_mm=18.0, bow=0.012)
    tails = jaws.lap_grasper(LAP_HINGE, length_mm=10.0, kind='teeth')
    return _hinged([*pieces, *_tails_of(tails)], LAP_HINGE + 18.0)


def _tails_of(pieces: list[Piece]) -> list[Piece]:
    """Of a grasper's pieces those behind its hinge."""
    return [p for p in pieces if float(p.mesh.positions[:, 2].min()) < LAP_HINGE - 3.0]


def _lap_scissors() -> Model:
    pieces = blades.scissors(LAP_HINGE, 0.72, length_mm=15.0, bow=0.01)
    tails = jaws.lap_grasper(LAP_HINGE, length_mm=10.0, kind='teeth')
    return _hinged([*pieces, *_tails_of(tails)], LAP_HINGE + 15.0)


def _lap_needle_driver() -> Model:
    pieces = jaws.needle_driver(LAP_HINGE, 0.75, long=True)
    tails = jaws.lap_grasper(LAP_HINGE, length_mm=10.0, kind='teeth')
    return _hinged([*pieces, *_tails_of(tails)], LAP_HINGE + 10.2, single=True)


def _lap_clip_applier() -> Model:
    """A 10 mm instrument at half size: jaws straight out of the shaft."""
    h = 5.0
    mouth = turned(
        [(0, -1.0), (2.57, -1.0), (2.57, 3.0), (2.3, 3.4), (1.9, 3.4), (1.8, 3.0), (0, 3.0)],
        segments=28,
    )
    core = turned([(0, 2.0), (1.3, 2.0), (1.3, h - 0.4), (0, h - 0.4)])
    pieces = jaws.clip_jaws(h, 0.62, length_mm=12.0)
    neck = [Piece(mouth, 'turned', Part.WRIST), Piece(core, 'dark_steel', Part.WRIST)]
    return Model((*neck, *pieces), 0.0, h, h + 12.5)


def _suction(holes: int) -> Model:
    pieces = [
        replace(piece, mesh=moved(piece.mesh, z_mm=0.0))
        for piece in blades.suction_tip(2.45, 24.0, holes=holes)
    ]
    return Model(tuple(pieces), 0.0, 0.0, 24.0)


def _entries() -> dict[str, Entry]:
    tool, dv, lap = ToolType, 'da_vinci', 'laparoscopic'
    made = (
        Entry('large_needle_driver', tool.NEEDLE_DRIVER, dv, 4.2, 60,
              lambda: _needle_driver(long=False)),
        Entry('mega_needle_driver', tool.NEEDLE_DRIVER, dv, 4.2, 60,
              lambda: _needle_driver(long=True)),
        Entry('maryland_bipolar', tool.FORCEPS, dv, 4.2, 70, lambda: _maryland(bipolar=True),
              charred=True),
        Entry('maryland_dissector', tool.FORCEPS, dv, 4.2, 70, lambda: _maryland(bipolar=False)),
        Entry('fenestrated_bipolar', tool.FORCEPS, dv, 4.2, 75, _fenestrated_bipolar,
              charred=True),
        Entry('prograsp', tool.FORCEPS, dv, 4.2, 60, _prograsp),
        Entry('curved_scissors', tool.SCISSORS, dv, 4.2, 65, lambda: _scissors(cover=False)),
        Entry('monopolar_scissors', tool.SCISSORS, dv, 4.2, 65, lambda: _scissors(cover=True),
              charred=True),
        Entry('cautery_hook', tool.HOOK, dv, 4.2, 0, lambda: _monopolar('hook'), charred=True),
        Entry('cautery_spatula', tool.HOOK, dv, 4.2, 0, lambda: _monopolar('spatula'),
              charred=True),
        Entry('dv5_maryland', tool.FORCEPS, dv, 2.5, 70, lambda: _maryland(bipolar=False)),
        Entry('dv_clip_applier', tool.CLIP_APPLIER, dv, 4.2, 40,
              lambda: _wristed(jaws.clip_jaws(HINGE, 1.0, length_mm=18.0), HINGE + 18.5)),
        Entry('lap_fenestrated_grasper', tool.GRASPER, lap, 2.5, 60,
              lambda: _lap_grasper(24.0, 'window')),
        Entry('lap_crocodile_grasper', tool.GRASPER, lap, 2.5, 60,
              lambda: _lap_grasper(19.0, 'teeth', single=True)),
        Entry('lap_dolphin_grasper', tool.GRASPER, lap, 2.5, 65,
              lambda: _lap_grasper(18.0, 'dolphin')),
        Entry('lap_claw_grasper', tool.GRASPER, lap, 5.0, 60,
              lambda: _lap_grasper(17.0, 'teeth')),
        Entry('lap_maryland', tool.FORCEPS, lap, 2.5, 70, _lap_maryland),
        Entry('lap_scissors', tool.SCISSORS, lap, 2.5, 55, _lap_scissors),
        Entry('lap_hook', tool.HOOK, lap, 2.5, 0, lambda: _lap_monopolar('hook'), charred=True),
        Entry('lap_spatula', tool.HOOK, lap, 2.5, 0, lambda: _lap_monopolar('spatula'),
              charred=True),
        Entry('lap_needle_driver', tool.NEEDLE_DRIVER, lap, 2.5, 45, _lap_needle_driver),
        Entry('lap_clip_applier', tool.CLIP_APPLIER, lap, 5.0, 36, _lap_clip_applier),
        Entry('suction_tube', tool.SUCTION_TUBE, lap, 2.5, 0, lambda: _suction(8)),
        Entry('wide_suction_tube', tool.SUCTION_TUBE, lap, 5.0, 0, lambda: _suction(6)),
    )  # fmt: skip
    return {known.name: known for known in made}


ENTRIES = _entries()
