from __future__ import annotations

import math
import threading

import pytest

from msdesis_ros.core.health import RATE_WINDOW_S, Percentiles, StreamHealth


def done(health: StreamHealth, now_s: float, **changes) -> None:
    values = {
        'latency_ms': 10.0,
        'skew_ms': 1.0,
        'verdict': 'OK',
        'topics': ['depth'],
        'stages_ms': {'infer': 5.0},
    }
    health.done(now_s=now_s, **(values | changes))


def test_counts_add_up_by_cause_topic_and_verdict():
    health = StreamHealth()
    health.drop('overload')
    health.drop('overload', 2)
    done(health, 0.0, topics=['depth', 'points'])
    done(health, 0.1, verdict='INVALID')
    report = health.report(now_s=0.1)
    assert report.dropped == {'overload': 3}
    assert report.published == {'depth': 2, 'points': 1}
    assert report.verdicts == {'OK': 1, 'INVALID': 1}
    assert report.processed == 2


def test_the_rate_is_that_of_the_last_seconds():
    health = StreamHealth()
    for i in range(100):
        done(health, i * 0.05)
    assert health.report(now_s=4.95).fps == pytest.approx(20.0, rel=0.02)


def test_the_rate_of_a_stream_that_stopped_falls_to_zero():
    health = StreamHealth()
    for i in range(20):
        done(health, i * 0.05)
    assert 0 < health.report(now_s=3.0).fps < 10
    assert health.report(now_s=1.0 + 2 * RATE_WINDOW_S).fps == 0.0


def test_percentiles_are_of_the_window():
    health = StreamHealth()
    for i in range(101):
        done(health, i * 0.01, latency_ms=float(i))
    latency = health.report(now_s=1.0).latency_ms
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx((50.0, 95.0, 99.0))


def test_without_results_the_percentiles_are_nan():
    assert math.isnan(StreamHealth().report(now_s=0.0).latency_ms.p50)
    assert math.isnan(Percentiles.of([]).p99)


def test_counting_from_many_threads_loses_nothing():
    health = StreamHealth()

    def count() -> None:
        for _ in range(2000):
            health.drop('overload')

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert health.report(now_s=0.0).dropped == {'overload': 8000}


def test_a_latency_that_nobody_knows_does_not_spoil_the_others():
    health = StreamHealth()
    done(health, 0.0, latency_ms=math.nan)
    done(health, 0.1, latency_ms=20.0)
    report = health.report(now_s=1.0)
    assert report.processed == 2
    assert report.latency_ms.p50 == 20.0


def test_a_result_of_one_eye_has_no_skew():
    health = StreamHealth()
    done(health, 0.0, skew_ms=3.0)
    done(health, 0.1, skew_ms=math.nan)
    assert health.report(now_s=0.1).skew_ms == Percentiles(3.0, 3.0, 3.0)
