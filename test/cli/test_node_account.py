from __future__ import annotations

from msdesis_ros.cli import node_account
from msdesis_ros.cli.node_account import EndOfStream


def said(**counts: int) -> dict[str, str]:
    return {name.replace('__', '.'): str(count) for name, count in counts.items()}


def test_the_end_is_reached_when_a_slow_node_says_that_it_has_no_pair_left(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(node_account.time, 'monotonic', lambda: now_s)
    end = EndOfStream()
    end.hear(said(paired=5, alone_left=0, processed=5))
    end.begin_to_wait()
    now_s += 2 * node_account.QUIET_S
    assert not end.reached, 'that was said before all was sent'
    end.hear(said(processed=0))
    assert not end.reached, 'that was said before the node took anything'
    counts = {'paired': 6, 'alone_left': 1, 'dropped__overload': 3, 'dropped__late_left': 2}
    end.hear(said(processed=3, **counts))
    assert not end.reached, 'one pair is left'
    end.hear(said(processed=4, **counts))
    assert end.reached
    end.see_result()
    assert not end.reached, 'more may come'
    now_s += 2 * node_account.QUIET_S
    assert end.reached
