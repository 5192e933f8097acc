"""A fitted stereo calibration as the values of a JSON report."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from msdesis_ros.core.boards import Board
from msdesis_ros.core.camera_fit import COEFFICIENTS, INTRINSICS, CameraFit
from msdesis_ros.core.stereo_fit import StereoFit


def calibration_report(fit: StereoFit, board: Board, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Everything a reader needs to trust the calibration or not; unknown figures are None."""
    calibration = fit.calibration
    along = calibration.p2[0, 3] / calibration.p2[0, 0]
    return {
        'image_size': list(calibration.image_size),
        'board': str(board),
        'distortion': fit.distortion,
        'error_px': calibration.error_px,
        'epipolar_px': fit.epipolar_px,
        'baseline_mm': -float(along),
        't_mm': calibration.t_mm.tolist(),
        'rectified': {
            'focal_px': float(calibration.p1[0, 0]),
            'cx_px': float(calibration.p1[0, 2]),
            'cy_px': float(calibration.p1[1, 2]),
            'alpha': calibration.rect_alpha,
        },
        'left': _eye(fit.left, calibration.k1, calibration.d1),
        'right': _eye(fit.right, calibration.k2, calibration.d2),
        'pairs_used': len(fit.used),
        'pictures': [_known(asdict(picture)) for picture in fit.pictures],
        'outliers': [picture.name for picture in fit.outliers],
        'left_out': [p.name for p in fit.pictures if p.state == 'left_out'],
        'warnings': list(warnings),
    }


def _eye(eye: CameraFit, k: Any, d: Any) -> dict[str, Any]:
    numbers = [k[0, 0], k[1, 1], k[0, 2], k[1, 2], *d]
    values = dict(zip((*INTRINSICS, *COEFFICIENTS), map(float, numbers), strict=False))
    return {
        'intrinsics': {
            name: {'value': value, 'standard_deviation': _finite(eye.deviations.get(name))}
            for name, value in values.items()
        },
        'views': len(eye.view_errors_px),
        'error_alone_px': eye.rms_px,
        'coverage': eye.coverage,
        'reach': eye.reach,
        'tilts_deg': [float(eye.tilts_deg.min()), float(eye.tilts_deg.max())],
        'turned_deg': eye.turned_deg,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }
