"""Every command that a document shows: understood as it stands, and run, here or elsewhere."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from msdesis_ros.cli.app import app
from msdesis_ros.data.images import write_image

# A page runs one command after the other.
pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]
# Who runs a page's commands, word for word.
RUN_BY = {
    'README.md': 'cli/test_shown_commands.py',
    'docs/calibration.md': 'cli/test_calibrate.py',
    'docs/conversion.md': 'cli/test_convert.py',
    'docs/evaluation.md': 'cli/test_shown_commands.py',
    'docs/offline-inference.md': 'cli/test_infer_csv.py',
    'docs/reconstruction.md': 'cli/test_reconstruct.py',
    'docs/ris2017.md': 'cli/test_evaluate_ris.py',
    'docs/scared-evaluation.md': 'cli/test_evaluate_scared.py',
    'docs/synthetic-data.md': 'cli/test_shown_commands.py',
    'docs/video.md': 'cli/test_infer_video.py',
}
# Whose commands take hours, a GPU or a graph of processes, and what runs the same in small.
IN_SMALL = {
    'docs/datasets.md': 'training/test_sources_training.py',
    'docs/finetuning.md': 'cli/test_finetune.py',
    'docs/gpu-measurements.md': 'cli/test_benchmark.py',
    'docs/results/cpu-backends.md': 'cli/test_benchmark.py',
    'docs/results/msdesis_fast.md': 'cli/test_evaluate.py',
    'docs/results/msdesis_light.md': 'cli/test_evaluate.py',
    'docs/results/performance.md': 'cli/test_benchmark_node.py',
    'docs/results/synthetic-data.md': 'cli/test_synth.py',
    'docs/sample.md': 'cli/test_synth.py',
    'docs/topics.md': 'cli/test_replay.py',
    'docs/training.md': 'cli/test_train.py',
}
SHELL_WORDS = re.compile(r'\$\{?\w+(?:%%[^}]*)?\}?')


def _shown():
    path = ROOT / 'test' / 'shown_commands.py'
    spec = importlib.util.spec_from_file_location('msdesis_test_shown_commands', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shown = _shown()
PAGES = {
    str(page.relative_to(ROOT)): commands
    for page in [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
    if (commands := shown.shown_commands(page))
}


def test_every_page_with_commands_has_a_test_that_runs_them():
    assert set(PAGES) == set(RUN_BY) | set(IN_SMALL)
    for page, test in RUN_BY.items():
        assert Path(page).name in (ROOT / 'test' / test).read_text(), (page, test)
    assert all((ROOT / 'test' / test).is_file() for test in IN_SMALL.values())


@pytest.mark.parametrize('page', PAGES)
def test_every_command_is_understood(page):
    for arguments in PAGES[page]:
        # Options and values are parsed before the help is shown.
        words = [SHELL_WORDS.sub('1', word) for word in arguments]
        done = CliRunner().invoke(app, [*words, '--help'])
        assert done.exit_code == 0, f'{page}: msdesis {shlex.join(arguments)}: {done.output}'


def smaller(arguments: list[str]) -> list[str]:
    """The same command with few frames and small pictures."""
    found = list(arguments)
    frames = '2' if '--sequence' in found else '1'
    for option, value in (('--frames', frames), ('--size', '96x64'), ('--workers', '1')):
        for at, word in enumerate(found):
            if word == option:
                found[at + 1] = value
    # Of two picture sizes one is exported for, which takes seconds; test_fast_export takes two.
    while found.count('--size') > 1:
        at = found.index('--size')
        del found[at : at + 2]
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder with the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(1).integers(20, 230, (22, 34, 3), np.uint8)
    wide = cv2.resize(coarse, (104, 64), interpolation=cv2.INTER_CUBIC)
    for side, picture in (('left', wide[:, :-8]), ('right', wide[:, 8:])):
        for path in (f'{side}.png', f'{side}/0.png', side.upper()):
            write_image(tmp_path / 'picture.png', np.ascontiguousarray(picture))
            (tmp_path / path).parent.mkdir(exist_ok=True)
            shutil.move(tmp_path / 'picture.png', tmp_path / path)
    write_image(tmp_path / 'disparity.tiff', np.full((64, 96), 8, np.float32))
    write_image(tmp_path / 'mask.png', np.zeros((64, 96), np.uint8))

    def matrix(rows, columns, data):
        return {'type_id': 'opencv-matrix', 'rows': rows, 'cols': columns, 'dt': 'd', 'data': data}

    k = matrix(3, 3, [100.0, 0, 47.5, 0, 100.0, 31.5, 0, 0, 1])
    rig = {'K1': k, 'D1': matrix(1, 5, [0.0] * 5), 'K2': k, 'D2': matrix(1, 5, [0.0] * 5)}
    rig |= {'R': matrix(3, 3, [1.0, 0, 0, 0, 1, 0, 0, 0, 1]), 'T': matrix(3, 1, [-4.0, 0, 0])}
    (tmp_path / 'stereo.json').write_text(json.dumps(rig))
    return tmp_path


def test_the_commands_of_the_readme_do_what_it_says(folder):
    torch = pytest.importorskip('torch', reason='the extra torch is not installed')
    pytest.importorskip('moderngl', reason='the extra synth is not installed')
    from msdesis_ros.nets.registry import create_network

    torch.manual_seed(0)
    torch.save(create_network('msdesis', encoder='light').state_dict(), 'light.pt')
    ran = []
    for arguments in PAGES['README.md']:
        if arguments[0] == 'finetune':  # test_finetune runs it; here it takes minutes
            continue
        shown.run_shown(smaller(arguments))
        ran.append(arguments[0])
    assert ran.count('infer') == 6 and {'export', 'synth', 'evaluate', 'reconstruct'} <= set(ran)
    for name in ('pair/report.json', 'folder', 'cloud/surface.ply', 'synth', 'evaluation'):
        assert (folder / 'out' / name).exists(), name
    # The last pair went through what was exported.
    told = json.loads((folder / 'out' / 'pair' / 'report.json').read_text())
    digest = hashlib.sha256((folder / 'light.onnx').read_bytes()).hexdigest()
    assert told['model'] == {'name': 'light', 'sha256': digest}
    assert told['backend'] == 'onnxruntime'


@pytest.mark.parametrize('page', ['docs/synthetic-data.md', 'docs/evaluation.md'])
def test_the_commands_of_a_page_run_in_small(folder, page):
    pytest.importorskip('moderngl', reason='the extra synth is not installed')
    if page == 'docs/evaluation.md':
        made = ['synth', '--out', 'out/test_set', '--source', 'layered', '--frames', '1']
        shown.run_shown([*made, '--seed', '5', '--size', '96x64'])
    for arguments in PAGES[page]:
        shown.run_shown(smaller(arguments))
    assert any((folder / 'out').iterdir())
