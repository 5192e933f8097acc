"""`msdesis convert ris2017` and `ris2017-statistics` as a user runs them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
from ris2017_tree import RisTree

SMALL = ('--size', '160x128')


@pytest.fixture
def run(run_command):
    return run_command('convert')


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return RisTree({1: (0, 1), 2: (0,)}).write(tmp_path / 'raw')


def test_a_stereo_tree_with_its_list_is_made_and_made_only_once(run, raw, tmp_path) -> None:
    out, listed = tmp_path / 'out', tmp_path / 'lists/frames.csv'
    arguments = ('ris2017', raw, out, '--form', 'stereo', *SMALL, '--io-csv', listed, '--io-masks')
    code, told, err = run(*arguments)
    assert (code, err) == (0, '')
    assert told == f'3 of 3 frames converted to {out}; {listed} lists 3\n'
    with listed.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and list(rows[0]) == ['left', 'right', 'mask']
    calibration = json.loads((out / 'instrument_dataset_2/stereo_calib.json').read_text())
    assert calibration['alpha'] == 0.0 and calibration['size']['data'] == [128, 160]
    code, told, _ = run(*arguments)
    assert code == 0 and '0 of 3 frames converted' in told and '3 were there' in told
    code, told, _ = run(*arguments, '--alpha', '-1')
    assert code == 2


def test_published_frames_become_pictures_of_1280x1024(run, tmp_path) -> None:
    """One full-size frame, of which rows 37 to 1046 and columns 328 to 1590 are the picture."""
    folder = tmp_path / 'raw/instrument_dataset_1'
    frame = np.full((1080, 1920, 3), 255, np.uint8)
    frame[37:1047, 328:1591] = (90, 60, 30)
    label = np.zeros((1080, 1920), np.uint8)
    label[37:1047, 900:1000] = 20
    for name, plane in (('left_frames', frame), ('ground_truth/Other_labels', label)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / 'frame000.png'), plane)
    code, _, err = run('ris2017', tmp_path / 'raw', tmp_path / 'out')
    assert code == 0 and 'no mappings.json' in err
    out = tmp_path / 'out/instrument_dataset_1'
    picture = cv2.imread(str(out / 'left_frame/frame000.png'))
    assert picture.shape == (1024, 1280, 3) and (picture == (90, 60, 30)).all()
    mask = cv2.imread(str(out / 'ground_truth/binary/frame000.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (1024, 1280) and set(np.unique(mask)) == {0, 255}
    # 100 columns become 101 or 102 of all rows.
    assert 101 <= np.count_nonzero(mask) / 1024 <= 102


def test_what_is_broken_is_named_and_the_exit_code_is_1(run, raw, tmp_path) -> None:
    for frame in (0, 1):
        path = raw / f'instrument_dataset_1/left_frames/frame{frame:03d}.png'
        path.write_bytes(path.read_bytes()[:300])
    out = tmp_path / 'out'
    code, told, err = run('ris2017', raw, out, *SMALL)
    assert code == 1 and 'instrument_dataset_1 is left out' in err
    assert told == f'1 of 3 frames converted to {out}, 1 problems\n'
    RisTree({1: (0,)}).write(raw)
    code, told, err = run('ris2017', raw, out, *SMALL)
    assert code == 1 and 'frame001.png' in err and err.count('\n') == 1
    assert 'Traceback' not in err and '1 of 3 frames' in told and '1 were there' in told


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--form', 'mono'), 'known are monocular, stereo'),
        (('--alpha', '0'), '--alpha is of --form stereo alone'),
        (('--intrinsics', 'as-stored'), '--intrinsics is of --form stereo alone'),
        (('--form', 'stereo', '--intrinsics', 'x'), 'known are adapted, as-stored'),
        (('--form', 'stereo', '--alpha', '3'), 'expected -1'),
        (('--io-masks',), 'give --io-csv FILE too'),
        (('--size', 'large'), 'such as 1280x1024'),
        (('--rect_alpha', '0'), '--rect_alpha'),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(run, raw, tmp_path, options, words) -> None:
    code, _, err = run('ris2017', raw, tmp_path / 'out', *options)
    assert code == 2 and words in err and 'Traceback' not in err
    assert not (tmp_path / 'out').exists()


def test_a_source_that_is_not_there_or_not_the_data_is_one_sentence(run, tmp_path) -> None:
    code, _, err = run('ris2017', tmp_path / 'none', tmp_path / 'out')
    assert code == 2 and 'none does not exist' in err
    code, _, err = run('ris2017', tmp_path, tmp_path / 'out')
    assert code == 1 and 'has no folder instrument_dataset_1' in err


def test_statistics_are_told_by_set_and_written(run, raw, tmp_path) -> None:
    out = tmp_path / 'out'
    assert run('ris2017', raw, out, *SMALL)[0] == 0
    code, told, err = run('ris2017-statistics', out, '--out', tmp_path / 's.csv')
    assert (code, err) == (0, '')
    lines = told.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        'instrument_dataset_1',
        'instrument_dataset_2',
        'average',
    ]
    pictures = [out / 'instrument_dataset_2/left_frame/frame000.png']
    rgb = cv2.imread(str(pictures[0]))[..., ::-1] / 255
    mask = cv2.imread(str(out / 'instrument_dataset_2/ground_truth/binary/frame000.png'), 0)
    told_of_set = [float(word) for word in lines[2].split()[2:]]
    expected = [
        *rgb.reshape(-1, 3).mean(axis=0),
        *rgb.reshape(-1, 3).std(axis=0),
        (mask > 0).mean(),
    ]
    assert told_of_set == pytest.approx(expected, abs=6e-5)
    assert (tmp_path / 's.csv').read_text().count('\n') == 4
    assert run('ris2017-statistics', out, '--out', tmp_path / 's.txt')[0] == 2
    broken = out / 'instrument_dataset_1/left_frame/frame000.png'
    broken.write_bytes(b'')
    code, _, err = run('ris2017-statistics', out)
    assert code == 1 and str(broken) in err
