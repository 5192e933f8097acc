from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.rigs import (
    BASELINE_RANGE_MM,
    MAX_DISPARITY_PX,
    WORKING_DISTANCE_RANGE_MM,
    EndoscopeRig,
    sample_rig,
)

RIGS = [sample_rig(np.random.default_rng(seed), (1280, 1024)) for seed in range(400)]


def test_rigs_are_those_of_published_endoscopes():
    baselines = np.array([rig.baseline_mm for rig in RIGS])
    focals = np.array([rig.focal_px for rig in RIGS])
    assert baselines.min() >= BASELINE_RANGE_MM[0] - 0.1
    assert baselines.max() <= BASELINE_RANGE_MM[1]
    # EndoVis 2018: f 1050 to 1085 px, 4.35 to 4.37 mm. SCARED: about 1035 px.
    near = (np.abs(focals - 1060) < 45) & (np.abs(baselines - 4.36) < 0.3)
    assert 0.4 < near.mean() < 0.75


def test_working_distances_reach_from_large_to_small_disparities():
    at = {
        distance: np.mean([rig.focal_px * rig.baseline_mm / distance for rig in RIGS])
        for distance in WORKING_DISTANCE_RANGE_MM
    }
    assert at[20.0] > 200 and at[200.0] < 30
    assert all(
        rig.focal_px * rig.baseline_mm / rig.nearest_mm == pytest.approx(MAX_DISPARITY_PX)
        for rig in RIGS
    )


def test_a_rig_of_half_the_picture_sees_the_same_field():
    whole = sample_rig(np.random.default_rng(3), (1280, 1024))
    half = sample_rig(np.random.default_rng(3), (640, 512))
    assert half.focal_px == pytest.approx(whole.focal_px / 2)
    assert half.nearest_mm == pytest.approx(whole.nearest_mm)
    assert half.geometry.baseline_m == pytest.approx(whole.baseline_mm / 1e3)


@pytest.mark.parametrize('change', [{'focal_px': 0.0}, {'baseline_mm': -1.0}])
def test_a_rig_that_cannot_be_is_refused(change):
    numbers = {'focal_px': 500.0, 'cx_px': 320.0, 'cy_px': 256.0, 'baseline_mm': 4.0} | change
    with pytest.raises(UsageError):
        EndoscopeRig(image_size=(640, 512), **numbers)
