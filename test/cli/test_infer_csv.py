"""`msdesis infer csv` and `infer folder`: lists and folders of pairs, as a user runs them."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.cli.offline_options import OfflineChoice, RowOptions
from msdesis_ros.cli.rig_options import RectifyChoice
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.data.scaled_png import read_scaled
from msdesis_ros.runtime.backend import RawOutput

TESTS = Path(__file__).parents[1]
SIZE = (64, 48)
SHIFT_PX = 6


class Instant:
    """Answers at once: everything is 6 px away, the left half is a tool."""

    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 255.0, 0.0
    heads = frozenset({'disparity', 'instrument_mask'})
    identity = ModelIdentity(name='instant', sha256=None, backend='opencv')
    runs = 0

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        Instant.runs += 1
        height, width = left.shape[:2]
        logits = np.full((height, width), -1.0, np.float32)
        logits[:, : width // 2] = 1.0
        return RawOutput(np.full((height, width), SHIFT_PX, np.float32), mask_logits=logits)

    def close(self) -> None:
        pass


@pytest.fixture
def instant(monkeypatch):
    """Every model answers at once; gives the names and options that were asked for."""
    asked = []

    def create(model, **options):
        asked.append({'model': model, **options})
        return Instant()

    monkeypatch.setattr('msdesis_ros.cli.model_options.create_backend', create)
    monkeypatch.setattr(Instant, 'runs', 0)
    return asked


@pytest.fixture
def infer(run_command, tmp_path, monkeypatch):
    """Run `msdesis infer ...` in tmp_path with the matcher, where no model is named."""
    monkeypatch.chdir(tmp_path)
    run = run_command('infer')

    def infer(*arguments):
        words = [str(argument) for argument in arguments]
        if not {'--model', '--checkpoint'} & set(words) and 'light' not in words:
            words += ['--model', 'opencv_sgbm']
        return run(*words)

    return infer


def write_pair(folder: Path, name: str, number: int = 0, size: tuple[int, int] = SIZE) -> None:
    """left/NAME and right/NAME of a wall at 6 px."""
    rng = np.random.default_rng(number)
    wall = rng.integers(0, 255, (size[1], size[0] + SHIFT_PX, 3), np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 0.7)
    for side, part in (('left', wall[:, :-SHIFT_PX]), ('right', wall[:, SHIFT_PX:])):
        (folder / side).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / side / name), part)


def write_list(path: Path, rows, header=()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([header, *rows] if header else rows)


def report_of(folder: Path, name: str = 'paths') -> dict:
    return json.loads((folder / f'{name}.report.json').read_text())


def test_a_list_of_the_release_is_done_as_it_stands(infer, tmp_path):
    for number, size in enumerate([(64, 48), (75, 51), (96, 64)]):
        write_pair(tmp_path / 'data', f'{number}.png', number, size)
    rows = [(f'left/{n}.png', f'right/{n}.png', f'd/{n}.png') for n in range(3)]
    write_list(tmp_path / 'paths.csv', rows)
    code, out, err = infer('csv', 'data', 'out', 'paths.csv')
    assert (code, err) == (0, '') and '3 rows done' in out
    for number, size in enumerate([(64, 48), (75, 51), (96, 64)]):
        found = read_scaled(tmp_path / 'out' / 'd' / f'{number}.png')
        assert found.shape == size[::-1]
        assert abs(np.nanmedian(found) - SHIFT_PX) < 0.1
    settings = report_of(tmp_path / 'out')['settings']
    assert settings['outputs']['disparity_scale_factor'] == 128.0, 'the scale stands beside it'
    assert settings['model']['card'] == 'opencv_sgbm'


@pytest.fixture
def thousand(tmp_path):
    """A list of 1,000 rows over four pairs of pictures; gives its five broken files."""
    for number in range(4):
        write_pair(tmp_path / 'data', f'{number}.png', number, (32, 24))
    broken = {
        'missing.png': None,
        'empty.png': b'',
        'text.png': b'no picture at all',
        'cut.png': (tmp_path / 'data' / 'left' / '0.png').read_bytes()[:200],
        'wide.png': cv2.imencode('.png', np.zeros((24, 40, 3), np.uint8))[1].tobytes(),
    }
    rows = [(f'left/{n % 4}.png', f'right/{n % 4}.png', f'd/{n:04d}.png') for n in range(1000)]
    for number, (name, content) in enumerate(broken.items()):
        if content is not None:
            (tmp_path / 'data' / 'left' / name).write_bytes(content)
        at = 100 + 150 * number
        rows[at] = (f'left/{name}', *rows[at][1:])
    write_list(tmp_path / 'paths.csv', rows, ('left', 'right', 'disparity'))
    return broken


def test_of_a_thousand_rows_five_are_broken_and_the_second_run_does_what_is_missing(
    infer, instant, thousand, tmp_path
):
    code, out, err = infer('csv', 'data', 'out', 'paths.csv')
    assert code == 1 and '995 rows done, 0 finished before, 5 without a result' in out
    assert len(list((tmp_path / 'out' / 'd').iterdir())) == 995
    lines = [line for line in err.splitlines() if line.startswith('paths.csv:')]
    assert [line.split(':')[1] for line in lines] == ['102', '252', '402', '552', '702']
    for line, name in zip(lines, [*thousand][:4], strict=False):
        assert name in line
    assert 'one size' in lines[4]
    assert [failure['line'] for failure in report_of(tmp_path / 'out')['failed']] == [
        102, 252, 402, 552, 702,
    ]  # fmt: skip
    for number in (3, 500):
        (tmp_path / 'out' / 'd' / f'{number:04d}.png').unlink()
    (tmp_path / 'out' / 'd' / '0007.png').write_bytes(b'half')
    write_pair(tmp_path / 'data', 'missing.png', 9, (32, 24))
    Instant.runs = 0
    code, out, _ = infer('csv', 'data', 'out', 'paths.csv')
    assert code == 1 and '4 rows done, 992 finished before, 4 without a result' in out
    assert Instant.runs == 4


def test_cells_that_are_empty_and_rows_that_want_less_are_fine(infer, instant, tmp_path):
    write_pair(tmp_path / 'data', '0.png')
    pair = ('left/0.png', 'right/0.png')
    rows = [(*pair, '', 's/0.png'), (*pair, 'd/1.png', ''), (*pair, 'd/2.png', 's/2.png'), pair]
    write_list(tmp_path / 'paths.csv', rows)
    code, out, err = infer('csv', 'data', 'out', 'paths.csv')
    assert code == 0 and '3 rows done' in out and '1 rows ask for nothing' in err
    written = {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').glob('*/*')}
    assert written == {'s/0.png', 'd/1.png', 'd/2.png', 's/2.png'}
    mask = cv2.imread(str(tmp_path / 'out' / 's' / '0.png'), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint8 and mask.shape == (48, 64)
    assert (mask[:, :32] == 255).all() and not mask[:, 32:].any()


def test_a_calibration_that_cannot_be_read_costs_no_result_of_before(infer, instant, tmp_path):
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    write_calibration(tmp_path / 'stereo.json')
    assert infer('csv', '.', 'out', 'paths.csv', '--calibration', 'stereo.json')[0] == 0
    code, out, err = infer('csv', '.', 'out', 'paths.csv', '--calibration', 'steroe.json')
    assert (code, out) == (1, '') and 'steroe.json' in err and len(err.splitlines()) == 1
    assert (tmp_path / 'out' / 'd.png').exists()


def test_a_calibration_in_another_unit_is_warned_of(infer, instant, tmp_path):
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    write_calibration(tmp_path / 'stereo.json')
    options = ('--calibration', 'stereo.json', '--unit', 'm')
    code, _, err = infer('csv', '.', 'out', 'paths.csv', *options)
    assert code == 0 and err.startswith('warning: ') and 'baseline' in err


def test_threshold_and_scale_factors_are_those_asked_for(infer, instant, tmp_path):
    write_pair(tmp_path / 'data', '0.png')
    rows = [('left/0.png', 'right/0.png', 'd.png', 's.png', 'z.png')]
    header = ('left', 'right', 'disparity', 'segmentation', 'depth')
    write_list(tmp_path / 'paths.csv', rows, header)
    options = '--disparity_scale_factor 10 --segmentation_threshold 0.8 --depth-scale-factor 2'
    metric = '--focal-px 60 --baseline-mm 5'
    code, _, err = infer('csv', 'data', 'out', 'paths.csv', *options.split(), *metric.split())
    assert code == 0, err
    stored = {k: cv2.imread(f'out/{k}.png', cv2.IMREAD_UNCHANGED) for k in 'dsz'}
    assert (stored['d'] == 60).all(), 'at every pixel that the model answers'
    assert not stored['s'].any(), 'a probability of 0.73 is not above 0.8'
    assert (stored['z'][:, SHIFT_PX:] == 100).all() and not stored['z'][:, : SHIFT_PX - 1].any()
    code, out, _ = infer('csv', 'data', 'out', 'paths.csv', *metric.split(), '--valid-only')
    assert code == 0 and '1 rows done' in out, 'other settings make it again'
    stored = cv2.imread('out/d.png', cv2.IMREAD_UNCHANGED)
    assert (stored[:, SHIFT_PX:] == SHIFT_PX * 128).all() and not stored[:, : SHIFT_PX - 1].any()


def test_lines_that_are_no_pairs_are_named_and_passed_over(infer, instant, tmp_path):
    write_pair(tmp_path, '0.png')
    text = '# of today\n\nleft/0.png,right/0.png,d.png\nleft/0.png\n\n'
    (tmp_path / 'paths.csv').write_text(text)
    code, out, err = infer('csv', '.', 'out', 'paths.csv')
    assert code == 1 and '1 rows done, 0 finished before, 1 without' in out
    assert err.startswith('paths.csv:4: no path of the right picture')


def test_a_list_with_nothing_but_bad_rows_is_reported_all_the_same(infer, tmp_path):
    (tmp_path / 'paths.csv').write_text('left/0.png,right/0.png,d.png\n')
    code, out, err = infer('csv', '.', 'out', 'paths.csv')
    assert code == 1 and '0 rows done' in out and 'paths.csv:1: cannot read the picture' in err
    assert report_of(tmp_path / 'out')['rows'] == 1


WRONG_USE = {
    'no results': ('{pair}', [], 'no row says where a result goes'),
    'a depth of nobody knows where': ('{header},depth\n{pair},z.png', [], '--calibration'),
    'no such head': ('{pair},,s.png', ['--model', 'opencv_sgbm'], 'asks for segmentation'),
    'a result over an input': ('{pair},{root}/left/0.png', [], 'would replace'),
    'a form that cannot be': ('{pair},d.jpg', [], 'ends in .png'),
    'a wrong scale': ('{pair},d.png', ['--disparity-scale-factor', '0'], 'scale'),
    'a wrong threshold': ('{pair},d.png', ['--segmentation-threshold', '1.5'], 'probability'),
    'half a geometry': ('{pair},d.png', ['--focal-px', '9'], 'go together'),
    'a wrong alpha': ('{pair},d.png', ['--alpha', '1.5'], 'alpha is 1.5'),
    'a wrong unit': ('{pair},d.png', ['--unit', 'inch'], 'mm or m'),
    'two geometries': (
        '{pair},d.png',
        ['--focal-px', '9', '--baseline-mm', '4', '--calibration', 'c.json'],
        'not both',
    ),
    'no jobs': ('{pair},d.png', ['--jobs', '0'], 'jobs'),
    'ray without ray': ('{pair},d.png', ['--ray-gpus', '1'], 'go with --ray'),
    'amp of the processor': ('{pair},d.png', ['--amp', '--backend', 'opencv'], 'half precision'),
    'a model type alone': ('{pair},d.png', ['resnet34'], 'go together'),
    'a mode of a card': ('{pair},d.png', ['--mode', 'disparity'], 'describes a checkpoint'),
}


@pytest.mark.parametrize(('text', 'options', 'words'), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_one_sentence_and_exit_code_2(infer, tmp_path, text, options, words):
    write_pair(tmp_path, '0.png')
    pair = 'left/0.png,right/0.png'
    (tmp_path / 'paths.csv').write_text(text.format(pair=pair, header='left,right', root=tmp_path))
    positional = [option for option in options[:1] if not option.startswith('-')]
    code, _, err = infer('csv', '.', 'out', 'paths.csv', *(positional or options))
    assert code == 2, err
    assert words in ' '.join(err.split()) and 'Traceback' not in err
    assert not (tmp_path / 'out').exists()


def test_a_list_or_root_that_is_missing_is_named(infer, tmp_path):
    code, _, err = infer('csv', '.', 'out', 'none.csv')
    assert code == 2 and 'none.csv does not exist' in err
    (tmp_path / 'paths.csv').write_text('left,right,colour\na,b,c\n')
    code, _, err = infer('csv', '.', 'out', 'paths.csv')
    assert code == 1 and "'colour' is unknown" in err


def test_half_precision_is_asked_of_the_gpu(infer, instant, tmp_path):
    # The release compared a device with a word, so that AMP never came on.
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    assert infer('csv', '.', 'out', 'paths.csv', '--use_amp')[0] == 0
    assert [asked['backend'] for asked in instant] == ['torch_cuda']


def test_checkpoints_are_taken_whole_or_refused(infer, tmp_path):
    # The release loaded what happened to fit, and computed with random weights for the rest.
    torch = pytest.importorskip('torch', reason='the extra torch is not installed')
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    torch.save({}, tmp_path / 'empty.pt')
    code, _, err = infer('csv', '.', 'out', 'paths.csv', 'light', 'empty.pt')
    assert code == 1 and 'empty.pt' in err and len(err.strip().splitlines()) == 1
    assert not list((tmp_path / 'out').glob('*.png'))
    code, _, err = infer('csv', '.', 'out', 'paths.csv', '--checkpoint', 'none.pt')
    assert code == 2 and 'none.pt does not exist' in err


def test_a_result_that_cannot_be_written_stops_the_run(infer, instant, tmp_path):
    write_pair(tmp_path, '0.png')
    rows = [('left/0.png', 'right/0.png', f'd/{n}.png') for n in range(60)]
    write_list(tmp_path / 'paths.csv', rows)
    (tmp_path / 'out' / 'd' / '5.png').mkdir(parents=True)
    code, _, err = infer('csv', '.', 'out', 'paths.csv')
    assert code == 1 and 'cannot write' in err and '5.png' in err
    assert 5 <= Instant.runs < 20
    (tmp_path / 'out' / 'd' / '5.png').rmdir()
    Instant.runs = 0
    code, out, _ = infer('csv', '.', 'out', 'paths.csv')
    done = int(out.split()[0])
    assert code == 0 and done == Instant.runs <= 55


def test_unrectified_pictures_are_noticed(infer, instant, tmp_path):
    rng = np.random.default_rng(5)
    wall = cv2.resize(rng.integers(0, 255, (60, 80, 3), np.uint8), (320, 240))
    for side, rows in (('left', slice(0, 220)), ('right', slice(9, 229))):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / '0.png'), wall[rows])
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    code, _, err = infer('csv', '.', 'out', 'paths.csv')
    assert code == 0 and 'px apart vertically' in err and 'taken as rectified' in err


def test_doubtful_results_are_counted_with_their_reasons(infer, instant, tmp_path):
    write_pair(tmp_path, '0.png')
    for side in ('left', 'right'):
        cv2.imwrite(str(tmp_path / side / '1.png'), np.zeros((48, 64, 3), np.uint8))
    rows = [(f'left/{n}.png', f'right/{n}.png', f'd/{n}.png') for n in (0, 1)]
    write_list(tmp_path / 'paths.csv', rows)
    options = ('--disparity-scale-factor', 20000)
    for _ in ('done now', 'finished before'):
        code, _, err = infer('csv', '.', 'out', 'paths.csv', *options)
        assert code == 0 and '1 rows are INVALID: black_left 1, black_right 1' in err
        assert '2 rows have values too large for 16 bits' in err
    report = report_of(tmp_path / 'out')
    assert report['verdicts'] == {'INVALID': 1, 'OK': 1}
    assert report['rows_with_values_too_large'] == 2


def test_two_folders_need_no_list(infer, instant, tmp_path):
    for name in ('a.png', 'b.jpg'):
        write_pair(tmp_path, name)
    code, out, err = infer('folder', 'left', 'right', '--out', 'out')
    assert (code, err) == (0, '') and '2 rows done' in out
    written = {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').glob('*/*')}
    assert written == {f'{k}/{n}.png' for k in ('disparity', 'segmentation') for n in 'ab'}
    metric = ('--focal-px', 60, '--baseline-mm', 5)
    code, out, _ = infer('folder', 'left', 'right', '--out', 'out', *metric)
    assert code == 0 and (tmp_path / 'out' / 'depth' / 'b.png').exists()
    (tmp_path / 'left' / 'a.png').write_bytes(b'broken')
    code, out, err = infer('folder', 'left', 'right', '--out', 'out', *metric)
    assert code == 1 and err.startswith('a.png: ') and '1 finished before' in out
    (tmp_path / 'right' / 'b.jpg').unlink()
    code, _, err = infer('folder', 'left', 'right', '--out', 'out')
    assert code == 2 and 'b.jpg only in' in err


def test_workers_elsewhere_are_given_absolute_paths(tmp_path, monkeypatch):
    # Those of a running Ray cluster work in the folder where it was started.
    monkeypatch.chdir(tmp_path)
    choice = OfflineChoice.of(
        ModelChoice(models_dir=Path('cards')),
        RectifyChoice(calibration='l.yaml, r.yaml', rectified=True),
        RowOptions(),
    )
    assert choice.recipe.rigs.calibration == f'{tmp_path}/l.yaml,{tmp_path}/r.yaml'
    assert choice.recipe.open_backend.__self__.models_dir == tmp_path / 'cards'


def test_ray_that_is_not_installed_names_the_extra(infer, tmp_path, monkeypatch):
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    monkeypatch.setitem(sys.modules, 'ray', None)
    code, _, err = infer('csv', '.', 'out', 'paths.csv', '--ray')
    assert code == 1 and "'msdesis_ros[ray]'" in err


def test_a_run_that_is_killed_goes_on_where_it_was(infer, tmp_path):
    write_pair(tmp_path, '0.png')
    count = 120
    rows = [('left/0.png', 'right/0.png', f'd/{n}.png') for n in range(count)]
    write_list(tmp_path / 'paths.csv', rows)
    command = [sys.executable, '-m', 'msdesis_ros.cli.app', 'infer', 'csv', '.', 'out']
    words = ['paths.csv', '--model', 'opencv_sgbm']
    with subprocess.Popen([*command, *words], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        for _ in range(5000):
            if len(list((tmp_path / 'out' / 'd').glob('*.png'))) >= 10:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    there = len(list((tmp_path / 'out' / 'd').glob('[0-9]*.png')))
    assert 10 <= there < count
    code, out, _ = infer('csv', '.', 'out', 'paths.csv')
    done, before = int(out.split()[0]), int(out.split(', ')[1].split()[0])
    # What was on its way to the journal is made again, and no more.
    assert code == 0 and done + before == count and there - 6 <= before <= there
    reference = (tmp_path / 'out' / 'd' / '0.png').read_bytes()
    results = list((tmp_path / 'out' / 'd').iterdir())
    assert len(results) == count and all(p.read_bytes() == reference for p in results)


def shown():
    spec = importlib.util.spec_from_file_location('msdesis_shown', TESTS / 'shown_commands.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_commands_of_the_document_work_in_its_order(tmp_path, monkeypatch, project_root):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_pair(tmp_path, f'{number}.png', number)
    write_calibration(tmp_path / 'stereo.json')
    commands = shown()
    found = commands.shown_commands(project_root / 'docs' / 'offline-inference.md')
    here = [arguments for arguments in found if '--ray' not in arguments]
    assert len(here) == len(found) - 1 and len(here) >= 5
    for arguments in here:
        commands.run_shown(arguments)
    for folder in ('disparity', 'folder/disparity', 'with_depth/depth', 'by_numbers/depth'):
        assert len(list((tmp_path / 'out' / folder).glob('[01].png'))) == 2, folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_of_the_document_for_many_machines_works(tmp_path, monkeypatch, project_root):
    pytest.importorskip('ray', reason='the extra ray is not installed')
    monkeypatch.chdir(tmp_path)
    write_pair(tmp_path, '0.png')
    write_list(tmp_path / 'paths.csv', [('left/0.png', 'right/0.png', 'd.png')])
    commands = shown()
    document = project_root / 'docs' / 'offline-inference.md'
    (arguments,) = [words for words in commands.shown_commands(document) if '--ray' in words]
    assert '1 rows done' in commands.run_shown(arguments)
    assert (tmp_path / 'out' / 'd.png').exists()


def write_calibration(path: Path) -> None:
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    k = np.array([[60, 0, 32], [0, 60, 24], [0, 0, 1.0]])
    fields = {'K1': k, 'D1': np.zeros((5, 1)), 'K2': k, 'D2': np.zeros((5, 1)), 'R': np.eye(3)}
    for name, value in (fields | {'T': np.array([[-5.0], [0], [0]])}).items():
        file.write(name, value)
    file.release()
