"""`msdesis benchmark pipeline`: what it measures and tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from msdesis_ros.cli import benchmark, benchmark_pipeline
from msdesis_ros.core.errors import MissingExtraError, ModelError, UsageError


def run(*arguments: object) -> Any:
    return CliRunner().invoke(benchmark.benchmark_app, ['pipeline', *map(str, arguments)])


SHORT = ('--runs', 2, '--warm-up', 1, '--threads', 1)


def test_a_model_without_a_network_goes_the_whole_way(tmp_path: Path) -> None:
    file = tmp_path / 'new' / 'report.json'
    sizes = ('--size', '320x256', '--size', '640x512')
    result = run('--model', 'opencv_sgbm', *SHORT, *sizes, '--json', file)
    assert result.exit_code == 0, result.output
    report = json.loads(file.read_text(encoding='utf-8'))
    assert report['model'] == 'opencv_sgbm' and report['runs'] == 2
    assert 'cores' in report['machine']['processor']
    assert [report['sizes'][size]['pictures'] for size in report['sizes']] == [
        'the sample, resized',
        'the sample',
    ]
    for size in report['sizes'].values():
        (name, figures), *others = size['backends'].items()
        assert name == 'opencv' and not others
        assert figures['verdicts'] == {'OK': 2} and 0.4 < figures['coverage'] < 1
        assert len(figures['wall_ms']) == 2 and figures['times_faster'] == 1.0
        assert 0 < figures['stages_ms']['rectify'] < figures['median_ms']
        assert figures['median_ms'] <= figures['p95_ms'] <= figures['p99_ms']
    lines = result.stdout.splitlines()
    assert lines[0].split('\t')[:2] == ['320x256', 'median ms']
    assert {'rectify', 'infer', 'geometry', 'cloud'} < set(lines[0].split('\t'))
    assert lines[1].count('\t') == lines[0].count('\t') and lines[1].startswith('opencv\t')


def test_what_is_not_installed_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = benchmark_pipeline.create_backend

    def create(name: str, *, backend: str, **options: Any) -> Any:
        if backend == 'openvino':
            raise MissingExtraError('openvino is not installed')
        return real('opencv_sgbm', backend='opencv', **options)

    monkeypatch.setattr(benchmark_pipeline, 'create_backend', create)
    result = run('--backends', 'onnxruntime,openvino', *SHORT, '--size', '64x64')
    assert result.exit_code == 0, result.output
    assert 'openvino was left out: openvino is not installed' in result.stderr
    assert [line.split('\t')[0] for line in result.stdout.splitlines()] == ['64x64', 'onnxruntime']


@pytest.mark.parametrize(
    ('arguments', 'kind', 'message'),
    [
        (('--backends', 'torch,torch'), UsageError, 'names one backend twice'),
        (('--size', '64'), UsageError, 'expected width x height'),
        (('--model', 'absent'), ModelError, "no model is called 'absent'"),
        (('--model', 'opencv_sgbm', '--backends', 'torch'), UsageError, 'cannot run opencv_sgbm'),
    ],
)
def test_wrong_use_is_refused(arguments: tuple[str, ...], kind: type, message: str) -> None:
    result = run(*SHORT, *arguments)
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)
