"""One way from a folder to samples: stop or skip as asked, at most 20 lines, unknown words."""

from __future__ import annotations

import logging
import os
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.layouts.catalogue import LAYOUTS, scan, survey
from msdesis_ros.data.layouts.samples import load

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def pairs(tree):
    for frame in range(4):
        tree.picture(f'left/{frame}.png')
        tree.picture(f'right/{frame}.png')
    return tree


def test_every_published_name_is_a_layout():
    assert set(LAYOUTS) == {
        'flyingthings3d',
        'scared',
        'scared_test',
        'ris17',
        'ris17_124',
        'ris17_train_monocular',
        'ris17_eval_monocular',
        'own_frames',
    }


def test_the_documented_layouts_are_those_there_are(project_root):
    text = (project_root / 'docs' / 'datasets.md').read_text()
    rows = text.split('\n## Layouts\n')[1].split('\n## ')[0].splitlines()
    named = [row.split('`')[1] for row in rows if row.startswith('| `')]
    assert sorted(named) == sorted(LAYOUTS)


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
def test_what_a_layout_says_of_itself_is_what_its_samples_have(layout, request):
    known = LAYOUTS[layout]
    if layout.startswith('ris17'):
        ris = request.getfixturevalue('ris')
        for number in range(1, 11 if known.splits == ('test',) else 9):
            later = range(225, 300) if number <= 8 else range(300)
            frames = later if known.splits == ('test',) else range(225)
            ris.add(number, frames, stereo=not known.monocular)
        tree = ris.tree
    else:
        named = {'flyingthings3d': 'flying', 'own_frames': 'pairs'}.get(layout, layout)
        tree = request.getfixturevalue(named)
    samples = scan(layout, tree.root)
    assert {sample.split for sample in samples} == (set(known.splits) or {None})
    assert {sample.truth for sample in samples} == {known.truth}
    assert {sample.right is None for sample in samples} == {known.monocular}


def test_one_broken_file_stops_or_is_skipped_as_asked(pairs, caplog):
    path = pairs.root / 'right/2.png'
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FileFormatError) as caught:
        scan('own_frames', pairs.root)
    head, line = str(caught.value).splitlines()
    assert head.startswith(f'{pairs.root} is not a whole own_frames data set: 1 problem; ')
    assert line.startswith('right/2.png: ends too early')
    with caplog.at_level(logging.WARNING):
        samples = scan('own_frames', pairs.root, on_broken='skip')
    assert [sample.name for sample in samples] == ['left/0', 'left/1', 'left/3']
    assert 'right/2.png: ends too early' in caplog.text and '3 samples are whole' in caplog.text


def test_a_whole_data_set_is_silent(pairs, caplog):
    assert len(scan('own_frames', pairs.root)) == 4
    assert not caplog.records


@pytest.mark.parametrize(('broken', 'lines'), [(19, 19), (20, 20), (21, 21), (57, 21)])
def test_a_report_has_at_most_20_files_and_then_a_count(tree, broken, lines):
    for frame in range(broken):
        tree.picture(f'left/{frame}.png')
    report = survey('own_frames', tree.root).report().splitlines()
    assert len(report) == lines
    assert report[0] == 'right/0.png: missing; left/0.png is there'
    assert (report[-1] == f'... and {broken - 20} more') == (broken > 20)
    assert len(survey('own_frames', tree.root).report(most=100).splitlines()) == broken


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
@pytest.mark.parametrize('on_broken', ['stop', 'skip'])
def test_an_empty_folder_is_no_data_set_of_any_layout(tree, layout, on_broken):
    with pytest.raises(FileFormatError, match=f'no whole sample of the layout {layout} '):
        scan(layout, tree.root, on_broken=on_broken)


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
def test_a_root_that_is_no_folder_is_named(tree, layout):
    file = tree.put('file', b'')
    for root in (file, tree.root / 'nothing'):
        with pytest.raises(FileFormatError, match=f'{root} is no folder'):
            scan(layout, root)


def test_unknown_words_are_refused_with_the_known_ones(pairs):
    with pytest.raises(UsageError, match="'kitti' is unknown; known are flyingthings3d, scared"):
        scan('kitti', pairs.root)
    with pytest.raises(UsageError, match="'ignore' is unknown; known are stop, skip"):
        scan('own_frames', pairs.root, on_broken='ignore')
    with pytest.raises(UsageError, match="'all' is unknown; known are headers, content"):
        scan('own_frames', pairs.root, check='all')


@pytest.mark.parametrize(
    ('layout', 'folder'), [('scared', 'disparity'), ('own_frames', 'right_rectified')]
)
def test_a_folder_that_may_not_be_opened_is_named(scared, monkeypatch, layout, folder):
    # In the way of both functions: which one a Python's pathlib uses depends on its version.
    def refusing(really):
        def listing(path='.'):
            if os.path.basename(path) == folder:
                raise PermissionError(13, 'Permission denied', os.fspath(path))
            return really(path)

        return listing

    assert survey(layout, scared.root).samples
    for name in ('listdir', 'scandir'):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(
        FileFormatError, match=f'cannot look through .*{folder}: Permission denied'
    ):
        survey(layout, scared.root)


def test_damage_inside_of_a_file_is_found_when_contents_are_checked(pairs):
    path = pairs.root / 'left/1.png'
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF  # in the compressed pixels
    path.write_bytes(bytes(content))
    assert not survey('own_frames', pairs.root).problems
    found = survey('own_frames', pairs.root, check='content')
    assert [problem.path for problem in found.problems] == [path]
    assert len(found.samples) == 3


def test_samples_pass_between_processes(pairs):
    samples = scan('own_frames', pairs.root)
    assert pickle.loads(pickle.dumps(samples)) == samples


@FUZZ
@given(
    which=st.integers(0, 8),
    content=st.one_of(st.binary(max_size=200), st.floats(0, 0.999)),
)
def test_any_damage_to_one_file_is_named_and_what_passes_can_be_loaded(flying, which, content):
    path = sorted(path for path in flying.root.rglob('*.*') if path.is_file())[which]
    whole = path.read_bytes()
    path.write_bytes(content if isinstance(content, bytes) else whole[: int(content * len(whole))])
    try:
        found = survey('flyingthings3d', flying.root, check='content')
        assert len(found.samples) == 2
        assert str(path.relative_to(flying.root)) in found.report().splitlines()[0]
        assert all(load(sample) for sample in found.samples)
    finally:
        path.write_bytes(whole)
