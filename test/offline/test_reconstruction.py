"""From frames to files: one each, or one world; and what the video shows when."""

from __future__ import annotations

import gc
import weakref

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface_frame import SurfaceFrame
from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.cloud_view.viewer import ViewedCloud, ViewSettings
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.ply import read_ply
from msdesis_ros.offline.reconstruction import (
    SurfaceSettings,
    reconstruct_each,
    surface_of,
)
from msdesis_ros.offline.world_cloud import reconstruct_world

SIZE = (16, 12)
GEOMETRY = StereoGeometry(SIZE, 40.0, 40.0, 7.5, 5.5, 0.004)


def flat_frame(name: str = '000000', depth_m: float | np.ndarray = 0.1, **changes) -> SurfaceFrame:
    mask = np.zeros(SIZE[::-1], bool)
    mask[:3, :4] = True
    parts = {
        'depth_m': np.full(SIZE[::-1], depth_m, np.float32),
        'picture': np.full((*SIZE[::-1], 3), 90, np.uint8),
        'instrument_mask': mask,
        'geometry': GEOMETRY,
    }
    return SurfaceFrame.of_mask(name, **{**parts, **changes})


class Frames:
    """A source of given frames; an error stands for a frame that fails."""

    def __init__(self, **frames) -> None:
        self.names = list(frames)
        self._made = list(frames.values())

    def frame(self, number: int) -> SurfaceFrame:
        made = self._made[number]
        if isinstance(made, Exception):
            raise made
        return made() if callable(made) else made


class FakeViewer:
    """Takes down what it is asked to show; a picture says which surface it shows."""

    def __init__(self, pictures_a_round: int = 8) -> None:
        self.settings = ViewSettings(fps=float(pictures_a_round), period_s=1.0)
        self.orbit, self.shown, self.level, self.paths = None, [], 0, []

    def show(self, surface, geometry) -> None:
        self.orbit = True
        self.shown.append((surface, geometry))
        self.level = len(self.shown)

    def show_path(self, places) -> None:
        self.paths.append(places)

    def hide(self) -> None:
        self.level = 0

    def picture(self, number: int) -> np.ndarray:
        return np.full((2, 2, 3), 10 * self.level, np.uint8)


def run(source, out, *, settings=None, viewer=None, **options):
    pictures: list[np.ndarray] = []
    account = reconstruct_each(
        source,
        out,
        settings or SurfaceSettings(),
        viewer=viewer,
        show=pictures.append if viewer else None,
        **options,
    )
    return account, [int(picture[0, 0, 0]) // 10 for picture in pictures]


def test_one_frame_becomes_one_file_and_a_whole_circle(tmp_path):
    viewer = FakeViewer()
    account, shown = run(Frames(a=flat_frame('a')), tmp_path, viewer=viewer)
    assert account.files == ['surface.ply', 'view.png'] and shown == [1] * 8
    cloud = read_ply(tmp_path / 'surface.ply')
    assert len(cloud.points_m) == 192 and cloud.labels.sum() == 12
    cyan = cloud.colours[cloud.labels == 1]
    assert (cyan[:, 1] > 150).all() and (cyan[:, 0] < 60).all()
    assert (cloud.colours[cloud.labels == 0] == 90).all()
    surface, geometry = viewer.shown[0]
    assert isinstance(surface, ViewedCloud) and geometry == GEOMETRY
    # As wide as the pixel: 100 mm / 40 px.
    np.testing.assert_allclose(surface.widths_m, 0.0025)
    assert read_rgb(tmp_path / 'view.png')[0, 0, 0] == 10


def test_a_sequence_shows_each_frame_for_its_share_of_the_video(tmp_path):
    source = Frames(**{f'{n:03d}': flat_frame(f'{n:03d}') for n in range(3)})
    told = []
    account, shown = run(
        source, tmp_path, viewer=FakeViewer(), progress=lambda *step: told.append(step)
    )
    assert account.files[0] == 'surfaces/000.ply' and len(account.files) == 4
    assert sorted(path.name for path in (tmp_path / 'surfaces').iterdir()) == [
        '000.ply', '001.ply', '002.ply',
    ]  # fmt: skip
    assert shown == [1, 1, 2, 2, 2, 3, 3, 3]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_sequence_longer_than_a_circle_has_a_picture_of_every_frame(tmp_path):
    source = Frames(**{str(n): flat_frame(str(n)) for n in range(11)})
    _, shown = run(source, tmp_path, viewer=FakeViewer())
    assert shown == list(range(1, 12))


def test_a_frame_that_fails_is_named_and_its_time_shows_no_old_surface(tmp_path):
    source = Frames(a=MsdesisError('first'), b=flat_frame('b'), c=MsdesisError('broken'),
                    d=flat_frame('d'))  # fmt: skip
    account, shown = run(source, tmp_path, viewer=FakeViewer())
    assert account.failed == {'a': 'first', 'c': 'broken'}
    assert [about['name'] for about in account.frames] == ['b', 'd']
    # Nothing to look at before there was a surface; then two pictures for each frame.
    assert shown == [1, 1, 0, 0, 2, 2]


def test_wrong_use_and_what_cannot_be_written_end_the_run(tmp_path):
    with pytest.raises(UsageError, match='wrong'):
        run(Frames(a=UsageError('wrong'), b=flat_frame()), tmp_path)
    (tmp_path / 'surfaces').write_text('in the way')
    with pytest.raises(MsdesisError, match='cannot write'):
        run(Frames(a=flat_frame('a'), b=flat_frame('b')), tmp_path)


def test_a_frame_is_forgotten_when_the_next_one_is_made(tmp_path):
    alive: list[weakref.ref] = []

    def make(name: str):
        def frame() -> SurfaceFrame:
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1
            made = flat_frame(name)
            alive.append(weakref.ref(made))
            return made

        return frame

    run(Frames(**{str(n): make(str(n)) for n in range(5)}), tmp_path)
    assert len(alive) == 5


def test_uncertain_depths_and_the_tool_are_left_out_on_request():
    sigma = np.zeros(SIZE[::-1], np.float32)
    sigma[6:] = 1.0  # of a disparity of 1.6 px
    frame = flat_frame(uncertainty_px=sigma)
    made = surface_of(frame, SurfaceSettings(max_uncertainty=0.5))
    assert made.about['points'] == 96 and made.about['uncertain_share'] == pytest.approx(0.5)
    assert made.about['tool_points'] == 12
    bare = surface_of(frame, SurfaceSettings(max_uncertainty=0.5, without_tool=True))
    assert bare.about['points'] == 84 and bare.about['tool_points'] == 0
    with pytest.raises(MsdesisError, match='sure enough'):
        surface_of(flat_frame(uncertainty_px=sigma + 1), SurfaceSettings(max_uncertainty=0.5))


def test_a_mesh_has_the_triangles_of_its_stride():
    made = surface_of(flat_frame(), SurfaceSettings(mesh=True, stride=2))
    assert isinstance(made.surface, SurfaceMesh)
    assert made.about['points'] == 8 * 6 and made.about['faces'] == 2 * 7 * 5


# --- one world --------------------------------------------------------------------------------


def pose(turn_deg: float, place_m) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3] = cv2.Rodrigues(np.radians([0.0, turn_deg, 0.0]))[0]
    made[:3, 3] = place_m
    return made


def wall_seen_from(world_from_left: np.ndarray) -> np.ndarray:
    """Depth of the wall z = 0.1 of the world, for a camera there."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    rays = np.stack([(x - 7.5) / 40, (y - 5.5) / 40, np.ones_like(x)], axis=-1)
    along = rays @ world_from_left[2, :3]
    return ((0.1 - world_from_left[2, 3]) / along).astype(np.float32)


def test_all_frames_lie_on_one_wall_in_the_world(tmp_path):
    poses = {4: pose(12.0, [0.01, 0.0, 0.02]), 7: pose(-8.0, [-0.02, 0.005, -0.01]), 9: pose(0, 0)}
    source = Frames(
        frame_4=flat_frame('frame_4', depth_m=wall_seen_from(poses[4])),
        frame_7=flat_frame('frame_7', depth_m=wall_seen_from(poses[7])),
    )
    viewer, pictures = FakeViewer(), []
    account = reconstruct_world(
        source,
        poses,
        tmp_path,
        SurfaceSettings(voxel_m=0.001),
        viewer=viewer,
        show=pictures.append,
    )
    assert account.files == ['world.ply', 'view.png'] and len(pictures) == 8
    cloud = read_ply(tmp_path / 'world.ply')
    assert 300 < len(cloud.points_m) <= 2 * 192
    np.testing.assert_allclose(cloud.points_m[:, 2], 0.1, atol=1e-6)
    # It is looked at from the first camera, whose frame the view has.
    seen, geometry = viewer.shown[0]
    moved = cloud.points_m @ poses[4][:3, :3] - poses[4][:3, 3] @ poses[4][:3, :3]
    np.testing.assert_allclose(seen.points_m, moved, atol=1e-6)
    np.testing.assert_allclose(viewer.paths[0][0], 0, atol=1e-7)
    assert len(viewer.paths[0]) == 2 and geometry == GEOMETRY


def test_the_same_frame_again_adds_no_point(tmp_path):
    poses = {n: np.eye(4) for n in range(4)}
    source = Frames(**{str(n): flat_frame(str(n)) for n in range(4)})
    account = reconstruct_world(source, poses, tmp_path, SurfaceSettings(voxel_m=0.001))
    assert len(read_ply(tmp_path / 'world.ply').points_m) == 192
    assert len(account.frames) == 4


def test_too_many_voxels_become_larger_ones_and_a_warning(tmp_path):
    account = reconstruct_world(
        Frames(a0=flat_frame()),
        {0: np.eye(4)},
        tmp_path,
        SurfaceSettings(voxel_m=0.0001, max_voxels=50),
    )
    assert len(read_ply(tmp_path / 'world.ply').points_m) <= 50
    assert 'grew from 0.1 to' in account.warnings[0]


@pytest.mark.parametrize(('name', 'message'), [('12', 'no frame 12'), ('left', 'by numbers')])
def test_a_frame_without_a_pose_is_named_before_any_work(tmp_path, name, message):
    source = Frames(**{name: AssertionError('work')})
    with pytest.raises(FileFormatError, match=message):
        reconstruct_world(source, {0: np.eye(4)}, tmp_path, SurfaceSettings())


def test_two_frames_of_one_pose_are_named_before_any_work(tmp_path):
    source = Frames(frame_1_cam0=MsdesisError('looked at'), frame_2_cam0=MsdesisError('looked at'))
    with pytest.raises(FileFormatError, match='frame_1_cam0 and frame_2_cam0 .* both have pose 0'):
        reconstruct_world(source, {0: np.eye(4)}, tmp_path, SurfaceSettings())


def test_a_world_where_every_frame_fails_is_no_file(tmp_path):
    source = Frames(a0=MsdesisError('broken'))
    account = reconstruct_world(source, {0: np.eye(4)}, tmp_path, SurfaceSettings())
    assert account.failed == {'a0': 'broken'} and list(tmp_path.iterdir()) == []


def test_a_world_is_no_mesh(tmp_path):
    with pytest.raises(UsageError, match='leave out --mesh'):
        reconstruct_world(Frames(), {}, tmp_path, SurfaceSettings(mesh=True))


@pytest.mark.parametrize(
    'options',
    [{'file_format': 'obj'}, {'mesh': True, 'file_format': 'pcd'}, {'stride': 0},
     {'max_uncertainty': 0.0}, {'max_uncertainty': float('nan')},
     {'max_uncertainty': float('inf')}, {'voxel_m': 0.0}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(options):
    with pytest.raises(UsageError):
        SurfaceSettings(**options)
