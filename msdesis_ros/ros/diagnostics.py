"""What the node says of itself: per-pair `status` and the 1 Hz `/diagnostics`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from msdesis_ros.core.errors import CalibrationError, ImageError
from msdesis_ros.core.health import HealthReport
from msdesis_ros.core.pairing import PairingCounters
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.quality import Reason, State, Verdict
from msdesis_ros.ros.messages import diagnostic_status
from msdesis_ros.runtime.pipeline import PerceptionResult
from msdesis_ros.runtime.supervisor import SupervisedBackend

LEVELS = {
    State.OK: DiagnosticStatus.OK,
    State.DEGRADED: DiagnosticStatus.WARN,
    State.INVALID: DiagnosticStatus.ERROR,
}


# The counters of the pairing that are pictures which led to no result.
PAIRING_DROPS = (
    'unpaired_left',
    'unpaired_right',
    'duplicates_left',
    'duplicates_right',
    'late_left',
    'late_right',
)


@dataclass(frozen=True)
class Finding:
    """Something the operator should know now: a level of DiagnosticStatus and a sentence."""

    level: bytes
    sentence: str


def warn(sentence: str) -> Finding:
    """A finding that does not stop the results."""
    return Finding(DiagnosticStatus.WARN, sentence)


def error(sentence: str) -> Finding:
    """A finding that stops the results."""
    return Finding(DiagnosticStatus.ERROR, sentence)


def backend_findings(backend: SupervisedBackend) -> list[Finding]:
    """What there is to say of a backend that has failed."""
    if backend.dead:
        return [error(f'the backend is out of use: {backend.last_error}')]
    if backend.restarts:
        return [warn(f'the backend was restarted {backend.restarts}x: {backend.last_error}')]
    return []


def backend_failure(reason: str) -> Verdict:
    """The verdict on a pair for which the backend gave nothing."""
    return Verdict((Reason('backend_failed', State.INVALID, 1.0, 0.0, reason),))


def refused_pair(error: ImageError | CalibrationError) -> Verdict:
    """The verdict on a pair whose pictures are damaged or not those of their calibration."""
    name = 'bad_image' if isinstance(error, ImageError) else 'bad_calibration'
    return Verdict((Reason(name, State.INVALID, 1.0, 0.0, str(error)),))


def result_figures(result: PerceptionResult) -> dict[str, float]:
    """What a status says of a result beside its verdict; without disparity, no coverage."""
    if result.raw.disparity_px is None:
        return {}
    return {'coverage': result.prediction.coverage}


def pair_status(
    verdict: Verdict,
    *,
    node_name: str,
    model: ModelIdentity,
    skew_ms: float,
    latency_ms: float,
    figures: Mapping[str, float],
) -> DiagnosticStatus:
    """The status of one result: what a controller checks before it uses the depth of that stamp.

    `skew_ms` is NaN for a left picture alone, `latency_ms` where nobody knows it.
    """
    sentences = '; '.join(reason.sentence for reason in verdict.reasons)
    values: dict[str, object] = {
        'verdict': verdict.state.value,
        'reasons': ' '.join(reason.code for reason in verdict.reasons),
        'skew_ms': f'{skew_ms:.3f}',
        'latency_ms': f'{latency_ms:.2f}',
        **identity_values(model),
    }
    for reason in verdict.reasons:
        values[f'reason.{reason.code}'] = f'{reason.value:.4g} (limit {reason.limit:.4g})'
    values.update({name: f'{value:.4g}' for name, value in figures.items()})
    return diagnostic_status(
        level=LEVELS[verdict.state],
        name=f'{node_name}: pair',
        message=f'{verdict.state.value}: {sentences}' if sentences else verdict.state.value,
        hardware_id=model.name,
        values=values,
    )


def node_status(
    findings: list[Finding],
    *,
    node_name: str,
    state: str,
    model: ModelIdentity,
    health: HealthReport,
    pairing: PairingCounters | None,
    verdict: Verdict | None,
    figures: Mapping[str, object],
) -> DiagnosticStatus:
    """The state of the node: its level is the worst of its findings."""
    level = max((finding.level for finding in findings), default=DiagnosticStatus.OK)
    sentences = '; '.join(finding.sentence for finding in findings)
    values: dict[str, object] = {
        'state': state,
        'processed': health.processed,
        'fps': f'{health.fps:.2f}',
        **_percentiles('latency_ms', health.latency_ms),
        **_percentiles('skew_ms', health.skew_ms),
        **{f'stage_ms.{name}': f'{value:.2f}' for name, value in health.stages_ms.items()},
        **{f'dropped.{cause}': count for cause, count in drops(health, pairing).items()},
        **{f'published.{topic}': count for topic, count in sorted(health.published.items())},
        **{f'verdicts.{name}': count for name, count in sorted(health.verdicts.items())},
        **identity_values(model),
        **figures,
    }
    if verdict is not None:
        values['verdict'] = verdict.state.value
        values['reasons'] = ' '.join(reason.code for reason in verdict.reasons)
    if pairing is not None:
        values['received_left'], values['received_right'] = (
            pairing.received_left,
            pairing.received_right,
        )
        values['paired'], values['alone_left'] = pairing.paired, pairing.alone_left
        values['time_resets'] = pairing.time_resets
    return diagnostic_status(
        level=level,
        name=node_name,
        message=sentences or state,
        hardware_id=model.name,
        values=values,
    )


def drops(health: HealthReport, pairing: PairingCounters | None) -> dict[str, int]:
    """What led to no result, by cause: pairs from the health, single pictures from the pairing."""
    counts = dict(health.dropped)
    if pairing is not None:
        for cause in PAIRING_DROPS:
            counts[cause] = getattr(pairing, cause)
    return dict(sorted(counts.items()))


def identity_values(model: ModelIdentity) -> dict[str, object]:
    """Which weights ran where, as every status carries it."""
    return {
        'model': model.name,
        'model_sha256': model.sha256 or 'none',
        'backend': model.backend,
        'engine': model.engine or 'none',
    }


def _percentiles(name: str, percentiles: object) -> dict[str, object]:
    values = {key: getattr(percentiles, key) for key in ('p50', 'p95', 'p99')}
    return {
        f'{name}.{key}': f'{value:.3f}' for key, value in values.items() if not math.isnan(value)
    }
