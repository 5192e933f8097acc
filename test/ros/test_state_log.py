from __future__ import annotations

from msdesis_ros.ros.state_log import StateLog


class Lines:
    def __init__(self) -> None:
        self.all: list[str] = []

    def error(self, line: str) -> None:
        self.all.append(f'E {line}')

    def info(self, line: str) -> None:
        self.all.append(f'I {line}')


def test_a_state_is_logged_when_it_begins_and_when_it_ends_only():
    lines = Lines()
    log = StateLog(lines)
    for age in (1.8, 2.8, 3.8):
        log.note('input', f'right image is missing for {age} s')
    assert log.sentences() == ['right image is missing for 3.8 s']
    log.note('input', '')
    log.note('input', '')
    assert lines.all == ['E right image is missing for 1.8 s', 'I input: good again']
    assert log.sentences() == []


def test_another_state_of_the_same_subject_is_logged():
    lines = Lines()
    log = StateLog(lines)
    log.note('input', 'right image is missing for 1 s')
    log.note('input', 'left and right images are missing for 1 s')
    assert len(lines.all) == 2


def test_subjects_are_independent_and_cleared_together():
    log = StateLog(Lines())
    log.note('input', 'a')
    log.note('pair', 'b')
    assert log.sentences() == ['a', 'b']
    log.clear(calibration='c')
    assert log.sentences() == ['c']


def test_a_state_that_is_known_already_is_not_logged_again():
    lines = Lines()
    log = StateLog(lines)
    log.clear(calibration='no camera_info')
    log.note('calibration', 'no camera_info')
    assert lines.all == []
