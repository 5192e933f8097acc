from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.lighting import sample_lighting
from msdesis_ros.data.synth.rigs import sample_rig


def test_the_two_fibres_stand_on_either_side_of_the_lenses():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rig = sample_rig(rng, (640, 512))
        made = sample_lighting(rng, rig)
        places = np.array([light.position_mm for light in made.lights])
        middle = places.mean(axis=0)
        np.testing.assert_allclose(middle[:2], [rig.baseline_mm / 2, 0], atol=1e-9)
        away = np.linalg.norm((places - middle)[:, :2], axis=1)
        assert ((away >= 2.5) & (away <= 5.0)).all()
        assert (places[:, 2] <= 0).all()


def test_the_power_is_shared_and_no_fibre_is_dark():
    powers = np.array(
        [
            [light.power for light in sample_lighting(rng, sample_rig(rng, (640, 512))).lights]
            for rng in map(np.random.default_rng, range(100))
        ]
    )
    np.testing.assert_allclose(powers.sum(axis=1), 1.0)
    assert (powers.max(axis=1) / powers.min(axis=1)).max() <= 2.5
