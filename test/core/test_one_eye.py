from __future__ import annotations

from msdesis_ros.core.one_eye import RightEyeWatch, one_eye
from msdesis_ros.core.quality import State

MS, S = 1_000_000, 1_000_000_000


def lefts(
    watch: RightEyeWatch, first_ns: int, last_ns: int, period_ns: int = 40 * MS
) -> list[int]:
    """Left pictures of that time; the arrivals of those that have to go alone."""
    return [t for t in range(first_ns, last_ns + 1, period_ns) if watch.see_left(t)]


def test_a_right_eye_that_never_came_is_lost_after_a_second_of_left_pictures():
    alone = lefts(RightEyeWatch(), 0, 2 * S)
    assert alone == list(range(1040 * MS, 2 * S + 1, 40 * MS))


def test_while_right_pictures_come_none_is_lost():
    watch = RightEyeWatch()
    for number in range(100):
        assert not watch.see_left(number * 40 * MS)
        if number % 20 == 0:
            watch.see_right()


def test_one_right_picture_ends_the_loss_and_the_second_counts_anew():
    watch = RightEyeWatch()
    assert lefts(watch, 0, 2 * S)
    watch.see_right()
    assert lefts(watch, 2040 * MS, 4 * S)[0] == 2040 * MS + 1040 * MS


def test_a_pause_of_both_eyes_is_no_loss_though_the_left_one_is_back_first():
    for right_came_last in (True, False):
        watch = RightEyeWatch()
        watch.see_right()
        assert not watch.see_left(0)
        if right_came_last:
            watch.see_right()
        assert lefts(watch, 10 * S, 11 * S) == []
        watch.see_right()
        assert not watch.see_left(11 * S + 40 * MS)


def test_the_reason_names_the_missing_eye_and_for_how_long():
    reason = one_eye(2_340_000_000)
    assert (reason.code, reason.state) == ('one_eye', State.DEGRADED)
    assert (reason.value, reason.limit) == (2.34, 1.0)
    assert reason.sentence.startswith('the right image is missing for 2.3 s')
