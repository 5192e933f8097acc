"""From the description of instruments to bodies at a time."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.assembly import Body
from msdesis_ros.data.synth.instruments.blood import bloodied
from msdesis_ros.data.synth.instruments.catalogue import entry, model_of
from msdesis_ros.data.synth.instruments.description import InstrumentScene
from msdesis_ros.data.synth.instruments.held import held_bodies, lying_bodies
from msdesis_ros.data.synth.instruments.materials import coated, finished
from msdesis_ros.data.synth.instruments.outlines import unit
from msdesis_ros.data.synth.instruments.pieces import joint_poses, shortest_turn
from msdesis_ros.data.synth.mesh import Mesh, merged
from msdesis_ros.data.synth.stereo_frame import Part


def build_instruments(scenes: Sequence[InstrumentScene], time_s: float) -> list[Body]:
    """All bodies of a scene's instruments at a time.

    `Body.instrument` counts the descriptions from 1; a needle or clip that jaws hold counts on
    after the last of them. Threads are BACKGROUND: they are no instrument.
    """
    bodies: list[Body] = []
    extra = len(scenes)
    for number, scene in enumerate(scenes, start=1):
        if not scene.has_shaft:
            bodies += lying_bodies(scene, number)
            continue
        bodies += _tool(scene, time_s, number)
        if scene.load != 'nothing':
            extra += 1
            pose, joints = tool_pose(scene, time_s)
            bodies += held_bodies(scene, time_s, extra, pose=pose, joints=joints)
    return bodies


def tool_pose(scene: InstrumentScene, time_s: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Where an instrument's frame stands in the world (4 x 4), and its joints' poses.

    The shaft passes through the trocar; its end is found such that the bent tip is in its place.
    """
    model = model_of(scene.name, scene.marks_at_mm)
    joints = joint_poses(
        model,
        pitch_rad=scene.pitch_rad.at(time_s),
        yaw_rad=scene.yaw_rad.at(time_s),
        opening_rad=max(scene.opening_rad.at(time_s), 0.0),
    )
    end = model.tip_mm
    # Between the jaws' tips.
    tip_local = np.mean(
        [(joints[jaw] @ np.array([0, 0, end, 1.0]))[:3] for jaw in ('jaw_a', 'jaw_b')], axis=0
    )
    tip, trocar = scene.tip_at(time_s), np.array(scene.trocar_mm)
    roll = scene.roll_rad.at(time_s)
    base = tip - unit(tip - trocar) * end
    for _ in range(7):
        base = tip - shortest_turn(base - trocar, roll) @ tip_local
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = shortest_turn(base - trocar, roll), base
    return pose, joints


def _tool(scene: InstrumentScene, time_s: float, number: int) -> list[Body]:
    pose, joints = tool_pose(scene, time_s)
    model = model_of(scene.name, scene.marks_at_mm)
    return [
        Body(
            _posed(meshes, joints),
            finished(coated(finish, part, scene.surface), scene.surface),
            part,
            scene.type,
            number,
            pose,
        )
        for (part, finish), meshes in _bloody(
            scene.name, scene.marks_at_mm, scene.bloodiness, scene.seed, model.tip_mm
        )
    ]


@functools.lru_cache(maxsize=8)
def _bloody(
    name: str, marks_at_mm: float | None, bloodiness: float, seed: int, tip_mm: float
) -> tuple[tuple[tuple[Part, str], tuple[tuple[str, Mesh], ...]], ...]:
    """The model's meshes by part and finish, one per joint, with this instrument's blood on them.

    Kept for the frames of one scene, which share everything but the poses.
    """
    groups: dict[tuple[Part, str], dict[str, list[Mesh]]] = {}
    for piece in model_of(name, marks_at_mm).pieces:
        joints = groups.setdefault((piece.part, piece.finish), {})
        joints.setdefault(piece.joint, []).append(piece.mesh)
    return tuple(
        (
            key,
            tuple(
                (joint, bloodied(merged(meshes), bloodiness, seed, tip_mm))
                for joint, meshes in joints.items()
            ),
        )
        for key, joints in groups.items()
    )


def _posed(meshes: Sequence[tuple[str, Mesh]], joints: dict[str, np.ndarray]) -> Mesh:
    moved = [
        mesh if joint == 'shaft' else mesh.transformed(joints[joint]) for joint, mesh in meshes
    ]
    return moved[0] if len(moved) == 1 else merged(moved)


def triangles_of(scene: InstrumentScene) -> int:
    """How many triangles an instrument of the catalogue has."""
    return model_of(entry(scene.name).name, scene.marks_at_mm).triangles
