"""`msdesis benchmark model`: what it measures, and what it says of answers that differ."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from msdesis_ros.cli import benchmark, benchmark_models
from msdesis_ros.core.errors import MissingExtraError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput


class Fake:
    """Answers `value` everywhere after `seconds`, and notes when it ran."""

    heads = frozenset({'disparity'})

    def __init__(self, name: str, diary: list[str], *, value: float, seconds: float) -> None:
        self.identity = ModelIdentity(name, None, name)
        self.diary, self.value, self.seconds = diary, value, seconds

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        time.sleep(self.seconds)
        self.diary.append(self.identity.name)
        return RawOutput(np.full(left.shape[:2], self.value, dtype=np.float32))

    def close(self) -> None:
        self.diary.append(f'{self.identity.name} closed')


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three backends in the place of the real ones: one slow, one fast, one not installed."""
    diary: list[str] = []

    def open_fake(self: Any, backend: str, image_size: tuple[int, int]) -> Fake:
        diary.append(f'{backend} for {image_size[0]}x{image_size[1]}')
        if backend == 'absent':
            raise MissingExtraError('absent is not installed')
        slow = backend == 'slow'
        return Fake(backend, diary, value=1.0 if slow else 1.5, seconds=0.15 if slow else 0.0)

    monkeypatch.setattr(benchmark_models.BenchmarkModel, 'open', open_fake)
    return diary


def run(*arguments: str) -> Any:
    return CliRunner().invoke(benchmark.benchmark_app, ['model', *arguments])


FAKES = ('--random', '0', '--encoder', 'light', '--backends', 'slow,fast,absent')


def test_backends_take_turns_and_are_compared_with_the_first(
    diary: list[str], tmp_path: Path
) -> None:
    file = tmp_path / 'new' / 'report.json'
    result = run(*FAKES, '--size', '64x32', '--runs', '3', '--warm-up', '1', '--json', str(file))
    assert result.exit_code == 0, result.output
    ran = [entry for entry in diary if entry in ('slow', 'fast')]
    assert ran == ['slow', 'fast'] * 4, 'one round to warm up, three in turns'
    report = json.loads(file.read_text(encoding='utf-8'))
    figures = report['sizes']['64x32']['backends']
    assert list(figures) == ['slow', 'fast']
    assert figures['slow']['times_faster'] == 1.0
    assert figures['fast']['times_faster'] > 2
    assert len(figures['slow']['wall_ms']) == 3
    assert figures['slow']['median_ms'] <= figures['slow']['p95_ms'] <= figures['slow']['p99_ms']
    assert figures['fast']['differences']['disparity_px'] == {'greatest': 0.5, 'mean': 0.5}
    assert figures['slow']['differences']['disparity_px'] == {'greatest': 0.0, 'mean': 0.0}
    assert report['sizes']['64x32']['skipped'] == {'absent': 'absent is not installed'}
    assert report['model']['random_seed'] == 0
    assert diary[-2:] == ['slow closed', 'fast closed']


def test_without_a_terminal_a_line_is_a_backend_and_tabs_part_its_cells(
    diary: list[str],
) -> None:
    lines = run(*FAKES, '--size', '64x32', '--runs', '2').stdout.splitlines()
    assert lines[0].startswith('64x32\tmedian ms\t')
    assert [line.split('\t')[0] for line in lines[1:]] == ['slow', 'fast']
    assert len({line.count('\t') for line in lines}) == 1


def test_several_sizes_are_measured_one_after_the_other(diary: list[str]) -> None:
    result = run(*FAKES, '--size', '64x32', '--size', '32x32', '--runs', '1')
    assert result.exit_code == 0
    assert [entry for entry in diary if ' for ' in entry and 'slow' in entry] == [
        'slow for 64x32',
        'slow for 32x32',
    ]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((), 'give one of --model, --checkpoint and --random'),
        (('--random', '0', '--model', 'x', '--encoder', 'light'), 'give one of'),
        (('--random', '0'), '--random needs --encoder'),
        (('--model', 'x', '--encoder', 'light'), 'leave --encoder and --network-size out'),
        (('--model', 'x', '--network-size', 'base'), 'leave --encoder and --network-size out'),
        (('--random', '0', '--encoder', 'light', '--network-size', 'base'), 'give one'),
        ((*FAKES, '--size', '64'), "--size is '64'; expected width x height"),
        ((*FAKES, '--size', '0x64'), 'expected width x height'),
        ((*FAKES, '--size', '64x'), 'expected width x height'),
        ((*FAKES[:-1], 'slow,slow'), 'names one backend twice'),
        ((*FAKES[:-1], 'absent'), 'none of these backends is installed: absent is not'),
    ],
)
def test_wrong_use_is_refused(diary: list[str], arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_the_description_of_the_machine_names_no_machine() -> None:
    described = benchmark_models.machine_description()
    assert 'cores' in described['processor']
    assert described['numpy'] == np.__version__
    assert Path('/etc/hostname').read_text(encoding='utf-8').strip() not in str(described)


# With the real backends.


@pytest.fixture
def _kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('torch', reason='the extra torch is not installed')
    pytest.importorskip('safetensors', reason='the extra torch is not installed')
    monkeypatch.setenv('MSDESIS_CACHE_DIR', str(tmp_path / 'cache'))


@pytest.mark.usefixtures('_kept_apart')
@pytest.mark.parametrize(
    ('family', 'options'),
    [
        ('msdesis', {'encoder': 'light'}),
        ('msdesis', {'encoder': 'resnet34'}),
        ('msdesis_fast', {'size': 'base'}),
    ],
)
def test_random_weights_are_fixed_by_their_seed_and_lively(
    family: str, options: dict[str, str]
) -> None:
    from msdesis_ros.nets.checkpoints import LoadedCheckpoint
    from msdesis_ros.nets.registry import create_network
    from msdesis_ros.runtime.self_check import check_pictures

    answers = []
    for seed in (0, 0, 1):
        network = create_network(family, **options)
        benchmark_models.fill_with_random_weights(network, seed)
        backend = benchmark_models.BenchmarkModel(
            card=None, checkpoint=None, seed=seed, encoder='light', mode='multitask', threads=1
        )._plain(LoadedCheckpoint(network.eval(), 'none'))
        output = backend.run(*check_pictures(seed=1, image_size=(160, 96)))
        answers.append(output.disparity_px)
        for plane in (output.disparity_px, output.mask_logits):
            assert 0.1 < np.std(plane) < 1000
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).mean() > 0.1


@pytest.fixture(scope='module')
def tiny() -> None:
    """msdesis_fast has the size 'tiny', which is exported sooner."""
    pytest.importorskip('torch', reason='the extra torch is not installed')
    path = Path(__file__).parents[1] / 'training' / 'tiny.py'
    spec = importlib.util.spec_from_file_location('msdesis_benchmark_tiny', path)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.usefixtures('_kept_apart', 'tiny')
@pytest.mark.parametrize(
    ('network', 'backends'),
    [
        (('--encoder', 'light'), 'torch_plain,torch'),
        pytest.param(('--encoder', 'light'), 'torch_plain,onnxruntime', marks=pytest.mark.slow),
        (('--network-size', 'tiny'), 'torch_plain,torch,onnxruntime,openvino'),
    ],
)
def test_the_same_weights_give_the_same_answers_in_every_backend(
    tmp_path: Path, network: tuple[str, str], backends: str
) -> None:
    if 'onnxruntime' in backends:
        for package in ('onnx', 'onnxscript', 'onnxruntime'):
            pytest.importorskip(package, reason=f'{package} is not installed')
    file = tmp_path / 'report.json'
    arguments = ('--random', '1', *network, '--size', '90x70', '--runs', '1')
    result = run(*arguments, '--backends', backends, '--json', str(file))
    assert result.exit_code == 0, result.output
    figures = json.loads(file.read_text(encoding='utf-8'))['sizes']['90x70']['backends']
    planes = ['disparity_px', 'mask_logits']
    planes += ['uncertainty_px'] if network[0] == '--network-size' else []
    for other in figures.keys() - {'torch_plain'}:
        assert sorted(figures[other]['differences']) == sorted(planes)
        for plane in planes:
            assert 0 < figures[other]['differences'][plane]['greatest'] < 1e-2
            assert figures[other]['differences'][plane]['mean'] < 1e-4
