"""Several processes: the same result however many there are, and a clear end of each kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.synth.recipes import SOURCES, SourceRecipe
from msdesis_ros.data.synth.workers import in_order, in_workers, usable_cores

HERE = str(Path(__file__).parent)
sys.path.append(HERE)
from fake_source import FakeRecipe, fake_frame  # noqa: E402
from worker_jobs import first_pixel, settings  # noqa: E402


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_every_index_is_done_once_whoever_does_it(workers):
    found = dict(in_workers(first_pixel, FakeRecipe(), range(3, 8), workers=workers))
    assert sorted(found) == [3, 4, 5, 6, 7]
    for index, pixel in found.items():
        assert pixel == fake_frame(3, index).left[0, 0].tolist()


def test_results_come_as_they_get_done_and_can_be_put_in_order():
    results = list(in_workers(first_pixel, FakeRecipe(trouble='slow first'), range(4), workers=2))
    assert [index for index, _ in results][-1] == 0, 'the slow one must not hold up the others'
    ordered = list(in_order(results, range(4)))
    assert ordered == [fake_frame(3, index).left[0, 0].tolist() for index in range(4)]


def test_results_in_order_come_as_soon_as_they_can():
    taken = []

    def results():
        for index in (1, 0, 3, 2):
            taken.append(index)
            yield index, f'r{index}'

    ordered = in_order(results(), range(4))
    assert next(ordered) == 'r0' and taken == [1, 0]
    assert next(ordered) == 'r1' and taken == [1, 0]
    assert list(ordered) == ['r2', 'r3']


def test_each_worker_has_one_thread_and_says_goodbye_to_its_source(tmp_path):
    farewell = tmp_path / 'farewell'
    before = dict(os.environ)
    recipe = FakeRecipe(farewell=str(farewell))
    found = dict(in_workers(settings, recipe, range(4), workers=2))
    assert all(found[index] == {'cv2': 1, 'LP_NUM_THREADS': '0'} for index in range(4))
    assert farewell.read_text() == '0 0 '
    assert dict(os.environ) == before


def test_nothing_to_do_starts_nothing():
    assert list(in_workers(first_pixel, FakeRecipe(), [], workers=2)) == []


def test_a_worker_that_dies_is_reported_with_its_frame():
    with pytest.raises(MsdesisError, match='made frame 2 died .killed by SIGKILL.'):
        list(in_workers(first_pixel, FakeRecipe(trouble='die', at=2), range(5), workers=2))


def test_a_fault_in_the_source_names_the_frame_and_keeps_its_traceback():
    recipe = FakeRecipe(trouble='fault', at=1)
    with pytest.raises(MsdesisError, match='frame 1 cannot be made: ZeroDiv.*organ') as raised:
        list(in_workers(first_pixel, recipe, range(5), workers=2))
    assert 'in frame\n' in str(raised.value.__cause__)


def test_what_the_source_lacks_is_told_as_what_it_is():
    with pytest.raises(MissingExtraError, match='install the extra synth'):
        list(in_workers(first_pixel, FakeRecipe(trouble='missing'), range(5), workers=2))


def test_no_workers_are_refused():
    with pytest.raises(UsageError, match='at least 1'):
        list(in_workers(first_pixel, FakeRecipe(), range(5), workers=0))


def _children(pid):
    path = Path(f'/proc/{pid}/task/{pid}/children')
    return [int(child) for child in path.read_text().split()]


def _is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGKILL])
def test_the_workers_end_with_the_one_who_asked(sent, tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.append({HERE!r})
        from fake_source import FakeRecipe
        from worker_jobs import first_pixel
        from msdesis_ros.data.synth.workers import in_workers

        if __name__ == '__main__':
            for index, _ in in_workers(
                first_pixel, FakeRecipe(trouble='slow'), range(1000), workers=2
            ):
                print(index, flush=True)
        """)
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        process.stdout.readline()
        children = _children(process.pid)
        assert len(children) >= 2
        if sent is signal.SIGINT:
            os.killpg(process.pid, sent)  # as the terminal does
        else:
            process.send_signal(sent)
        _, told = process.communicate(timeout=100)
    assert process.returncode == -sent
    if sent is signal.SIGINT:
        assert told.count('KeyboardInterrupt') == 1, told
    end = time.monotonic() + 60
    while any(map(_is_running, children)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_is_running, children))


def test_an_iterator_that_is_closed_early_ends_its_workers():
    results = in_workers(first_pixel, FakeRecipe(trouble='slow'), range(50), workers=2)
    next(results)
    before = _children(os.getpid())
    results.close()
    ended = set(before) - {pid for pid in before if _is_running(pid)}
    assert len(ended) >= 2


def test_unknown_sources_and_sequences_are_refused():
    with pytest.raises(UsageError, match="source is 'film'; known: render, layered"):
        SourceRecipe('film', 0, (64, 64))
    with pytest.raises(UsageError, match='layered makes no sequences; use render'):
        SourceRecipe('layered', 0, (64, 64), sequence=True)
    with pytest.raises(UsageError, match='render has one kind of scene'):
        SourceRecipe('render', 0, (64, 64), scenes='tissue')


def test_a_recipe_opens_the_source_of_its_kind(monkeypatch):
    monkeypatch.setitem(SOURCES, 'layered', ('recipe_target', 'Target'))
    source = SourceRecipe('layered', 7, (64, 48), clean=True).open()
    assert source.arguments == (7, (64, 48), True)


def test_the_kind_of_scenes_reaches_the_source_and_the_manifest():
    recipe = SourceRecipe('layered', 5, (96, 64), scenes='anything')
    assert recipe.open().frame(0).scene['recipe']['kind'] == 'anything'
    assert recipe.options == {'clean': False, 'scenes': 'anything'}
    assert SourceRecipe('layered', 5, (96, 64)).options == {'clean': False}


def test_there_is_a_core():
    assert usable_cores() >= 1


def test_the_layered_source_gives_the_same_frames_in_any_order():
    source = SourceRecipe('layered', 5, (96, 64)).open()
    ahead = [source.frame(index) for index in (0, 1)]
    back = [SourceRecipe('layered', 5, (96, 64)).open().frame(index) for index in (1, 0)]
    for first, second in zip(ahead, reversed(back), strict=True):
        np.testing.assert_array_equal(first.left, second.left)
        np.testing.assert_array_equal(first.disparity_px, second.disparity_px)
