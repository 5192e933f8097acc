"""The choice of a pairer, and what must hold whatever `message_filters` does."""

from __future__ import annotations

import sys
import types

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.pairing import StampPairer
from msdesis_ros.ros.parameters import SPECS
from msdesis_ros.ros.sync import SYNC, FilterPairer, make_pairer, require_sync

MS = 1_000_000
ARGUMENTS = {'max_skew_ns': 10 * MS, 'queue_size': 10}


class SimpleFilter:
    def __init__(self):
        self.callbacks = []

    def registerCallback(self, callback, *arguments):  # noqa: N802 - the name in ROS
        self.callbacks.append((callback, arguments))

    def signalMessage(self, *messages):  # noqa: N802 - the name in ROS
        for callback, arguments in self.callbacks:
            callback(*messages, *arguments)


def both(left, right):
    return left, right


class Synchronizer(SimpleFilter):
    """A stand-in that pairs the newest of both sides; `answer` may make it lie or fail."""

    made = 0
    answer = staticmethod(both)

    def __init__(self, inputs, queue_size, slop):
        super().__init__()
        type(self).made += 1
        self.newest = {}
        for side, source in enumerate(inputs):
            source.registerCallback(self.add, side)

    def add(self, message, side):
        self.newest[side] = message
        if len(self.newest) == 2:
            answer = self.answer(self.newest.pop(0), self.newest.pop(1))
            if answer:
                self.signalMessage(*answer)


@pytest.fixture
def synchronizer(monkeypatch) -> type[Synchronizer]:
    """Put a stand-in where `message_filters` would be, and return its synchronizer class."""
    module = types.ModuleType('message_filters')
    module.SimpleFilter = SimpleFilter
    module.ApproximateTimeSynchronizer = type('Planted', (Synchronizer,), {})
    monkeypatch.setitem(sys.modules, 'message_filters', module)
    return module.ApproximateTimeSynchronizer


@pytest.fixture
def no_message_filters(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, 'message_filters', None)


def pair(pairer, left_ns, right_ns):
    return pairer.add_left(left_ns, 'left') + pairer.add_right(right_ns, 'right')


def test_the_choices_of_the_parameter_are_those_that_can_be_made(synchronizer):
    assert SPECS['sync'].choices == SYNC
    for sync in SYNC:
        require_sync(sync)
        assert len(pair(make_pairer(sync, **ARGUMENTS), 0, MS)) == 1
    assert type(make_pairer('builtin', **ARGUMENTS)) is StampPairer
    assert type(make_pairer('message_filters', **ARGUMENTS)) is FilterPairer


def test_an_unknown_pairer_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="'exact'; choose one of builtin, message_filters"):
        make_pairer('exact', **ARGUMENTS)


def test_without_message_filters_the_package_to_install_is_named(no_message_filters):
    for refused in (lambda: require_sync('message_filters'), FilterPairer):
        with pytest.raises(UsageError, match=r'install ros-\$ROS_DISTRO-message-filters, or'):
            refused()
    require_sync('builtin')


def test_a_node_that_asks_for_what_is_not_installed_stays_unconfigured(
    ros_context, no_message_filters
):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    from msdesis_ros.ros.stereo_endoscope import StereoEndoscope

    asked = Parameter('sync', value='message_filters')
    node = StereoEndoscope(context=ros_context, parameter_overrides=[asked])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    finally:
        node.destroy_node()


def test_the_node_pairs_with_what_is_asked_for(ros_context, synchronizer):
    from rclpy.parameter import Parameter

    from msdesis_ros.ros.stereo_endoscope import StereoEndoscope

    asked = Parameter('sync', value='message_filters')
    node = StereoEndoscope(context=ros_context, parameter_overrides=[asked])
    try:
        node.trigger_configure()
        node.trigger_activate()
        assert synchronizer.made > 0
    finally:
        node.destroy_node()


def test_an_exception_of_the_synchronizer_leaves_the_next_pairs_untouched(synchronizer):
    pairer = FilterPairer(**ARGUMENTS)
    made = synchronizer.made

    def fail(left, right):
        raise RuntimeError('planted')

    synchronizer.answer = staticmethod(fail)
    pairer.add_left(0, 'left')
    with pytest.raises(RuntimeError, match='planted'):
        pairer.add_right(0, 'right')
    synchronizer.answer = staticmethod(both)
    assert synchronizer.made == made + 1, 'the old one may be locked for ever'
    assert [len(pair(pairer, k * 33 * MS, k * 33 * MS)) for k in (1, 2, 3)] == [1, 1, 1]
    counters = pairer.counters
    assert (counters.received_left, counters.paired, counters.unpaired_left) == (4, 3, 1)


def test_a_choice_beyond_the_limit_or_of_an_image_that_never_came_is_refused(synchronizer):
    pairer = FilterPairer(**ARGUMENTS)
    assert pair(pairer, 0, 11 * MS) == []
    invented = types.SimpleNamespace(stamp_ns=100 * MS)
    synchronizer.answer = staticmethod(lambda left, right: (invented, right))
    assert pair(pairer, 101 * MS, 102 * MS) == []
    assert pairer.counters.paired == 0


def test_a_synchronizer_that_never_uses_up_its_choice_is_not_asked_for_ever(synchronizer):
    asked = []
    old = types.SimpleNamespace(stamp_ns=0)

    def insist(self, message, side):
        asked.append(message)
        self.signalMessage(*((old, message) if side else (message, old)))

    synchronizer.add = insist
    pairer = FilterPairer(max_skew_ns=10 * MS, queue_size=3)
    assert pairer.add_left(MS, 'left') == []
    assert len(asked) == 4


def test_every_stamp_that_a_ros_message_can_hold_is_taken(synchronizer):
    pairer = FilterPairer(**ARGUMENTS)
    stamps_ns = (-(2**31) * 10**9, -1, 0, (2**31 - 1) * 10**9 + 2**32 - 1)
    assert [len(pair(pairer, at, at)) for at in stamps_ns] == [1, 1, 1, 1]


def test_a_left_image_that_went_alone_is_in_no_pair_whatever_is_chosen(synchronizer):
    pairer = FilterPairer(**ARGUMENTS)
    assert pairer.add_left(MS, 'left') == []
    assert pairer.take_left_alone(MS)
    assert pairer.add_right(2 * MS, 'right') == []  # the synchronizer still chooses that left one
    assert len(pair(pairer, 101 * MS, 102 * MS)) == 1
    assert (pairer.counters.alone_left, pairer.counters.paired) == (1, 1)
