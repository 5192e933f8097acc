"""RIS 2017 converted as a whole: layouts, pairing by name, broken files, second runs, geometry."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.conversion.ris2017 import Outcome, RisConversion
from msdesis_ros.data.conversion.ris2017_set import RisOptions
from msdesis_ros.data.conversion.ris2017_tree import write_io_list
from msdesis_ros.data.layouts.samples import read_mask

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
from ris2017_tree import DEPTH_MM, LABELS, MAPPINGS, RisRig, RisTree, parts_of, texture

SIZE = (160, 128)
MONO, STEREO = RisOptions(size=SIZE), RisOptions(form='stereo', size=SIZE)
SET = 'instrument_dataset_{}'


@pytest.fixture(scope='module')
def published(tmp_path_factory) -> Path:
    """Two sets in the published layout. Not to be changed."""
    return RisTree({1: (0, 1, 2), 10: (225, 226)}).write(tmp_path_factory.mktemp('ris') / 'raw')


@pytest.fixture
def raw(published: Path, tmp_path: Path) -> Path:
    """The same, to break."""
    return shutil.copytree(published, tmp_path / 'raw')


def convert(source: Path, out: Path, options: RisOptions = MONO, jobs: int = 1) -> Outcome:
    return RisConversion(source, out, options).run(jobs=jobs)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob('*') if path.is_file()}


def read(path: Path) -> np.ndarray:
    plane = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert plane is not None, path
    return plane[..., ::-1] if plane.ndim == 3 else plane


def expected_files(stereo: bool) -> set[str]:
    names = {1: ('frame000', 'frame001', 'frame002'), 10: ('frame225', 'frame226')}
    folders = ['left_frame', *(f'ground_truth/{label}' for label in (*LABELS, 'binary'))]
    singles = ['mappings.json'] + (['stereo_calib.json'] if stereo else [])
    folders += ['right_frame'] if stereo else []
    found = {f'{SET.format(n)}/{s}' for n in names for s in singles} | {'conversion.json'}
    return found | {
        f'{SET.format(n)}/{folder}/{name}.png'
        for n, of_set in names.items()
        for folder in folders
        for name in of_set
    }


@pytest.mark.parametrize('options', [MONO, STEREO], ids=['monocular', 'stereo'])
@pytest.mark.parametrize('plural', [True, False])
def test_both_forms_have_the_published_files_under_the_source_names(
    published, tmp_path, options, plural
) -> None:
    source = published
    if not plural:
        source = shutil.copytree(published, tmp_path / 'singular')
        for folder in source.glob('*/*_frames'):
            folder.rename(folder.with_name(folder.name.removesuffix('s')))
    outcome = convert(source, tmp_path / 'out', options, jobs=2)
    assert (outcome.made, outcome.kept, outcome.problems, outcome.notes) == (5, 0, [], [])
    assert files(tmp_path / 'out') == expected_files(options.stereo)
    for path in (tmp_path / 'out').rglob('*.png'):
        assert read(path).shape[:2] == (128, 160)
    mappings = tmp_path / 'out' / SET.format(1) / 'mappings.json'
    assert json.loads(mappings.read_text()) == MAPPINGS


def test_a_clean_picture_is_one_field_without_a_border(published, tmp_path) -> None:
    convert(published, tmp_path / 'out')
    frame = read(published / SET.format(1) / 'left_frames/frame001.png')
    # A tenth of 328, 37, 1263, 1010; its rows 0, 2, ...
    expected = cv2.resize(frame[4:105:2, 33:159], SIZE)
    found = read(tmp_path / 'out' / SET.format(1) / 'left_frame/frame001.png')
    np.testing.assert_array_equal(found, expected)
    # The other field shows the bars elsewhere; none of that is left, where the true bars are not.
    binary = read(tmp_path / 'out' / SET.format(1) / 'ground_truth/binary/frame001.png')
    away = cv2.dilate(binary, np.ones((5, 5))) == 0
    assert found[..., 2][away].max() < 140 < frame[5:105:2, 33:159, 2].max()


def test_binary_is_where_any_label_is_above_0_and_labels_keep_their_values(
    published, tmp_path
) -> None:
    convert(published, tmp_path / 'out')
    truth = tmp_path / 'out' / SET.format(10) / 'ground_truth'
    planes = {label: read(truth / label / 'frame225.png') for label in LABELS}
    assert [set(np.unique(plane)) for plane in planes.values()] == [
        {0, 10, 20, 30},
        {0, 40},
        {0, 10, 20, 30},
    ]
    binary = read(truth / 'binary/frame225.png')
    assert set(np.unique(binary)) == {0, 255}
    np.testing.assert_array_equal(binary == 255, sum(p.astype(int) for p in planes.values()) > 0)
    # Nearest: no pixel is tool whose label in the frame is none. Bilinear ones are.
    source = sum(
        read(published / SET.format(10) / 'ground_truth' / label / 'frame225.png').astype(int)
        for label in LABELS
    )
    share = (source[4:105, 33:159] > 0).mean()
    assert (binary > 0).mean() == pytest.approx(share, rel=0.03)
    old = cv2.resize((source[4:105, 33:159] > 0).astype(np.uint8) * 255, SIZE) > 0
    assert old.mean() > 1.05 * share


def test_files_belong_together_by_their_names(raw, tmp_path) -> None:
    """The published tool pairs by order: one missing mask gives every later frame another's."""
    labels = raw / SET.format(1) / 'ground_truth' / LABELS[0]
    (labels / 'frame001.png').unlink()
    (raw / SET.format(10) / 'right_frames/frame225.png').unlink()
    outcome = convert(raw, tmp_path / 'out', STEREO)
    assert outcome.made == 3
    assert sorted(outcome.problems) == [
        f'{labels}/frame001.png: missing, though other files of the frame are there',
        f'{raw}/{SET.format(10)}/right_frames/frame225.png: missing, though other files of the '
        'frame are there',
    ]
    out = tmp_path / 'out' / SET.format(1)
    assert not list(out.rglob('frame001.png'))
    whole = tmp_path / 'whole'
    convert(RisTree({1: (0, 1, 2)}).write(tmp_path / 'again'), whole, STEREO)
    for folder in ('left_frame', 'right_frame', f'ground_truth/{LABELS[0]}'):
        name = f'{folder}/frame002.png'
        np.testing.assert_array_equal(read(out / name), read(whole / SET.format(1) / name))


@pytest.mark.parametrize('place', ['left_frames', 'right_frames', f'ground_truth/{LABELS[1]}'])
def test_a_broken_file_is_named_and_its_frame_alone_left_out(raw, tmp_path, place) -> None:
    path = raw / SET.format(1) / place / 'frame001.png'
    path.write_bytes(path.read_bytes()[:200])
    outcome = convert(raw, tmp_path / 'out', STEREO, jobs=2)
    assert outcome.made == 4 and len(outcome.problems) == 1
    assert outcome.problems[0].startswith(str(path))
    assert not list((tmp_path / 'out' / SET.format(1)).rglob('*frame001*'))


def test_labels_in_colour_or_of_another_size_are_named(raw, tmp_path) -> None:
    folder = raw / SET.format(1) / 'ground_truth' / LABELS[0]
    colour = np.zeros((108, 192, 3), np.uint8)
    cv2.imwrite(str(folder / 'frame002.png'), colour)  # equal channels: grey all the same
    colour[5, 5, 0] = 30
    cv2.imwrite(str(folder / 'frame000.png'), colour)
    cv2.imwrite(str(folder / 'frame001.png'), np.zeros((128, 160), np.uint8))
    outcome = convert(raw, tmp_path / 'out')
    assert outcome.made == 3
    assert [problem.split('; ')[0] for problem in outcome.problems] == [
        f'{folder}/frame000.png is in colour',
        f'{folder}/frame001.png: 160x128 px',
    ]


def test_a_second_run_makes_only_what_is_missing(published, tmp_path) -> None:
    out = tmp_path / 'out'
    convert(published, out, STEREO)
    first = {path: path.stat().st_mtime_ns for path in out.rglob('*.png')}
    gone = out / SET.format(10) / 'ground_truth/binary/frame226.png'
    gone.unlink()
    outcome = convert(published, out, STEREO)
    assert (outcome.made, outcome.kept) == (1, 4) and gone.is_file()
    changed = {path for path, at in first.items() if path.stat().st_mtime_ns != at}
    assert changed and {path.name for path in changed} == {'frame226.png'}


def test_a_run_that_was_stopped_goes_on(published, tmp_path, monkeypatch) -> None:
    from msdesis_ros.data.conversion import ris2017_set

    tried = []

    def until_full(path, array):
        tried.append(path)
        if len(tried) == 9:
            raise MsdesisError(f'cannot write {path}: No space left on device')
        write(path, array)

    write = ris2017_set.write_image
    monkeypatch.setattr(ris2017_set, 'write_image', until_full)
    out = tmp_path / 'out'
    with pytest.raises(MsdesisError, match='No space left'):
        convert(published, out)
    # A frame has five files; the third and all of the next set are not tried any more.
    assert len(tried) == 9
    assert len(files(out) & expected_files(False)) < len(expected_files(False))
    monkeypatch.setattr(ris2017_set, 'write_image', write)
    outcome = convert(published, out)
    assert (outcome.made, outcome.kept) == (4, 1)
    assert files(out) == expected_files(False)


def test_a_folder_made_with_other_options_is_refused(published, tmp_path) -> None:
    out = tmp_path / 'out'
    convert(published, out, STEREO)
    for other in (MONO, RisOptions(form='stereo', size=(320, 256))):
        with pytest.raises(UsageError, match='made with other options'):
            convert(published, out, other)
    (out / 'conversion.json').unlink()
    with pytest.raises(UsageError, match='choose a new folder'):
        convert(published, out, STEREO)
    with pytest.raises(UsageError, match='is the source too'):
        convert(published, published, MONO)
    assert 'conversion.json' not in files(published)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'form': 'mono'}, 'known are monocular, stereo'),
        ({'intrinsics': 'kept'}, 'known are adapted, as-stored'),
        ({'alpha': 2.0}, 'alpha is 2'),
        ({'alpha': -0.5}, 'alpha is -0.5'),
        ({'size': (16, 128)}, '16x128 px; expected 32 to 8192'),
        ({'size': (1280, 9000)}, 'expected 32 to 8192'),
    ],
)
def test_options_that_cannot_be_are_refused(options, words) -> None:
    with pytest.raises(UsageError, match=words):
        RisOptions(**options)


def test_a_set_of_converted_frames_is_refused_and_the_others_go_on(raw, tmp_path) -> None:
    for path in (raw / SET.format(1)).rglob('*.png'):
        cv2.imwrite(str(path), cv2.resize(read(path), (160, 128)))
    outcome = convert(raw, tmp_path / 'out')
    assert outcome.made == 2
    assert len(outcome.problems) == 1
    assert 'instrument_dataset_1 is left out' in outcome.problems[0]
    assert '160x128 px; expected the frames as published, 1920x1080' in outcome.problems[0]
    (raw / SET.format(1) / 'ground_truth/binary').mkdir()
    outcome = convert(raw, tmp_path / 'again')
    assert 'converted already' in outcome.problems[0] and outcome.made == 2


def test_a_calibration_that_cannot_be_used_leaves_its_set_out(raw, tmp_path) -> None:
    text = raw / SET.format(10) / 'camera_calibration.txt'
    swapped = RisRig(translation_mm=(4.4, 0.0, 0.0))
    for content, words in (
        (swapped.text, 'left and right are swapped'),
        ('Width: 1280\n', '1 lines; expected 12'),
        (RisRig().text.replace('Width: 1280', 'Width: 640'), '640x1024'),
    ):
        text.write_text(content)
        out = tmp_path / words.replace(' ', '_')
        outcome = convert(raw, out, STEREO)
        assert outcome.made == 3 and len(outcome.problems) == 1
        assert words in outcome.problems[0] and SET.format(10) in outcome.problems[0]
        assert not list((out / SET.format(10)).rglob('*.png'))
    # The monocular form has no use for it.
    assert convert(raw, tmp_path / 'mono').problems == []


def test_frames_without_truth_are_converted_and_that_is_said(raw, tmp_path) -> None:
    shutil.rmtree(raw / SET.format(10) / 'ground_truth')
    (raw / SET.format(10) / 'mappings.json').unlink()
    outcome = convert(raw, tmp_path / 'out')
    assert (outcome.made, outcome.problems) == (5, [])
    assert [note.split(':')[0] for note in outcome.notes] == [
        'instrument_dataset_10 has no mappings.json',
        'instrument_dataset_10 has no ground_truth',
    ]
    assert not (tmp_path / 'out' / SET.format(10) / 'ground_truth').exists()


def test_a_mapping_beside_the_sets_is_that_of_each(raw, tmp_path) -> None:
    for number in (1, 10):
        (raw / SET.format(number) / 'mappings.json').unlink()
    (raw / 'mappings.json').write_text('{"Shaft": 1}')
    assert convert(raw, tmp_path / 'out').notes == []
    copied = tmp_path / 'out' / SET.format(10) / 'mappings.json'
    assert copied.read_text() == '{"Shaft": 1}'


def test_a_folder_without_sets_says_where_they_are(published, tmp_path) -> None:
    with pytest.raises(FileFormatError, match='give train_set in it'):
        shutil.copytree(published, tmp_path / 'RIS/train_set')
        convert(tmp_path / 'RIS', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_both_spellings_of_a_folder_are_not_mixed(raw, tmp_path) -> None:
    (raw / SET.format(1) / 'left_frame').mkdir()
    outcome = convert(raw, tmp_path / 'out')
    assert outcome.made == 2 and 'keep one of them' in outcome.problems[0]


def test_a_problem_is_named_by_the_spelling_that_is_there(tmp_path) -> None:
    raw = RisTree({1: (0, 1)}, plural=False, stereo=False).write(tmp_path / 'raw')
    gone = raw / SET.format(1) / 'left_frame/frame001.png'
    gone.unlink()
    outcome = convert(raw, tmp_path / 'out')
    assert outcome.made == 1 and outcome.problems[0].startswith(f'{gone}: missing')
    missing = convert(raw, tmp_path / 'stereo', STEREO).problems
    assert missing[0] == f'{raw / SET.format(1)}/right_frames: no such folder'


@pytest.fixture(scope='module')
def detailed(tmp_path_factory) -> Path:
    """One stereo frame whose waves are many pixels long, with lens distortion, converted."""
    folder = tmp_path_factory.mktemp('detailed')
    rig = RisRig(distortion=((-0.08, 0.02, 0.001, -0.001, 0.0), (-0.07, 0.02, 0.0, 0.001, 0.0)))
    RisTree({4: (7,)}, frame_size=(768, 432), rig=rig).write(folder / 'raw')
    options = RisOptions(form='stereo', size=(320, 256))
    assert convert(folder / 'raw', folder / 'out', options).problems == []
    return folder / 'out' / SET.format(4)


def wall_places(folder: Path, eye: int, shift_px: float = 0.0) -> np.ndarray:
    """The place on the wall that each rectified pixel shows, by the numbers of the file alone."""
    storage = cv2.FileStorage(str(folder / 'stereo_calib.json'), cv2.FILE_STORAGE_READ)
    r, t, r1, r2, p1, p2 = (storage.getNode(n).mat() for n in ('R', 'T', 'R1', 'R2', 'P1', 'P2'))
    turned, projection = ((r1, p1), (r2 @ r, p2))[eye]
    centre = np.zeros(3) if eye == 0 else (-r.T @ t).ravel()
    x, y = np.meshgrid(np.arange(320.0) + shift_px, np.arange(256.0))
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(projection[:, :3]).T
    rays = rays @ turned  # into the left camera
    return (centre + rays * ((DEPTH_MM - centre[2]) / rays[..., 2:]))[..., :2]


@pytest.mark.parametrize(('eye', 'name'), [(0, 'left_frame'), (1, 'right_frame')])
def test_a_rectified_picture_shows_what_its_calibration_says(detailed, eye, name) -> None:
    picture = read(detailed / name / 'frame007.png').astype(float)
    errors = {}
    for shift_px in (0.0, 1.0):
        places = wall_places(detailed, eye, shift_px)
        expected = texture(places, 4).astype(float)
        tool = sum(parts_of(places, label, 4, 7) for label in range(3)) > 0
        away = cv2.dilate(tool.astype(np.uint8), np.ones((9, 9))) == 0
        away[:3], away[-3:], away[:, :3], away[:, -3:] = False, False, False, False
        errors[shift_px] = np.abs(picture - expected)[away].mean()
    assert errors[0.0] < 1.0
    assert errors[1.0] > 2.5 * errors[0.0]


def test_a_rectified_label_lies_at_the_pixels_of_the_left_picture(detailed) -> None:
    places = wall_places(detailed, 0)
    for index, label in enumerate(LABELS):
        found = read(detailed / 'ground_truth' / label / 'frame007.png')
        expected = parts_of(places, index, 4, 7)
        assert set(np.unique(found)) <= set(np.unique(expected))
        assert (found != expected).mean() < 0.006, label


def test_the_rectified_views_differ_by_focal_length_times_baseline_over_depth(detailed) -> None:
    left, right = read_calibration(detailed / 'stereo_calib.json', image_size=(320, 256))
    places = wall_places(detailed, 0)
    storage = cv2.FileStorage(str(detailed / 'stereo_calib.json'), cv2.FILE_STORAGE_READ)
    r1 = storage.getNode('R1').mat()
    point = r1 @ [*places[128, 200], DEPTH_MM]
    baseline_mm = np.linalg.norm(RisRig().translation_mm)
    disparity = left.projection[0, 0] * baseline_mm / point[2]
    there = wall_places(detailed, 1, -disparity)[128, 200]
    np.testing.assert_allclose(there, places[128, 200], atol=1e-6)
    assert disparity > 10


def test_a_list_of_the_frames_has_a_header_and_pairs_by_name(published, tmp_path) -> None:
    out = tmp_path / 'out'
    convert(published, out, STEREO)
    assert write_io_list(tmp_path / 'a.csv', out, masks=True) == 5
    with (tmp_path / 'a.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['left', 'right', 'mask']
    assert len(rows) == 5 and rows[-1]['left'].endswith(
        'instrument_dataset_10/left_frame/frame226.png'
    )
    for row in rows:
        assert len({Path(path).name for path in row.values()}) == 1
        assert all(Path(path).is_absolute() and Path(path).is_file() for path in row.values())
        assert read_mask(Path(row['mask'])).any()
    assert write_io_list(tmp_path / 'b.csv', out, masks=False) == 5
    assert (tmp_path / 'b.csv').read_text().startswith('left,right\n')
    convert(published, tmp_path / 'mono')
    write_io_list(tmp_path / 'c.csv', tmp_path / 'mono', masks=True)
    assert (tmp_path / 'c.csv').read_text().startswith('left,mask\n')
    (out / SET.format(10) / 'right_frame/frame226.png').unlink()
    with pytest.raises(FileFormatError, match='right_frame/frame226.png is missing'):
        write_io_list(tmp_path / 'd.csv', out, masks=False)
    assert not (tmp_path / 'd.csv').exists()
