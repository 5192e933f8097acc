from __future__ import annotations

import threading
import time

import pytest

from msdesis_ros.offline.queues import JOBS_A_THREAD, SaveQueue, read_ahead


def test_what_is_read_ahead_comes_in_order_and_not_all_at_once():
    started: list[int] = []
    most = 2 * JOBS_A_THREAD + 1

    def read(number: int) -> int:
        started.append(number)
        return number * 10

    for number, result in read_ahead(range(30), read, 2):
        for _ in range(1000):
            if len(started) >= min(number + most, 30):
                break
            time.sleep(0.005)
        if number == 0:
            time.sleep(0.1)
        assert len(started) <= number + most
        assert result() == number * 10
    assert sorted(started) == list(range(30))


@pytest.mark.parametrize('threads', [1, 3])
def test_there_are_as_many_reading_threads_as_asked_for(threads):
    # The release had ten, whatever was asked for.
    names = set()

    def read(_: int) -> None:
        names.add(threading.get_ident())
        time.sleep(0.002)

    for _, result in read_ahead(range(20), read, threads):
        result()
    assert len(names) <= threads and threading.get_ident() not in names


def test_an_item_that_cannot_be_read_costs_itself_alone():
    def read(number: int) -> int:
        if number == 1:
            raise ValueError('one')
        return number

    outcomes = []
    for number, result in read_ahead(range(3), read, 1):
        try:
            outcomes.append(result())
        except ValueError as error:
            outcomes.append(f'{number}: {error}')
    assert outcomes == [0, '1: one', 2]


def test_nobody_reads_on_after_the_caller_left():
    started: list[int] = []
    pairs = read_ahead(range(1000), started.append, 1)
    next(pairs)
    pairs.close()
    assert len(started) <= JOBS_A_THREAD + 1


def test_jobs_in_memory_are_bounded():
    # The release queued every result, however slow the disk.
    gate = threading.Event()
    inside: list[int] = []

    def wait_inside(number: int) -> None:
        inside.append(number)
        gate.wait(10)

    with SaveQueue[None](2) as queue:
        for number in range(2 * JOBS_A_THREAD):
            queue.submit(wait_inside, number)
        handed_in = threading.Event()

        def one_more() -> None:
            queue.submit(lambda: None)
            handed_in.set()

        thread = threading.Thread(target=one_more)
        thread.start()
        assert not handed_in.wait(0.1), 'one more than the bound was taken'
        gate.set()
        assert handed_in.wait(10)
        thread.join()
        queue.finish()


def fail() -> None:
    raise OSError('the disk is full')


def test_the_error_of_a_job_reaches_the_one_who_hands_in():
    # The release lost it in the thread.
    with pytest.raises(OSError, match='the disk is full'), SaveQueue[None](1) as queue:
        queue.submit(fail)
        for _ in range(100):
            time.sleep(0.002)
            queue.submit(lambda: None)
    with pytest.raises(OSError, match='the disk is full'), SaveQueue[None](1) as queue:
        queue.submit(fail)
        queue.finish()


def test_what_only_waits_can_be_dropped_and_what_runs_is_waited_for():
    gate, running = threading.Event(), threading.Event()

    def runs() -> str:
        running.set()
        gate.wait(10)
        return 'ran'

    with SaveQueue[str](1) as queue:
        queue.submit(runs)
        assert running.wait(10)
        queue.submit(lambda: 'waited')
        threading.Timer(0.05, gate.set).start()
        queue.drop()
        assert queue.returned() == ['ran']


def test_every_result_is_told_once():
    told = []
    with SaveQueue[int](3) as queue:
        for number in range(25):
            queue.submit(lambda n: n, number)
            told += queue.returned()
        queue.finish()
        told += queue.returned()
    assert sorted(told) == list(range(25))
