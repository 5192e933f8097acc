"""What every backend hands in and out is checked where it is born."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ImageError
from msdesis_ros.runtime.backend import RawOutput, contiguous_pair

PLANE = np.zeros((4, 6), dtype=np.float32)


def test_an_output_may_lack_any_head() -> None:
    assert RawOutput(disparity_px=None, mask_logits=PLANE).uncertainty_px is None
    assert RawOutput(PLANE, PLANE, PLANE).disparity_px is PLANE


@pytest.mark.parametrize(
    'plane', [PLANE.astype(np.float64), PLANE[None], PLANE[0], np.zeros((4, 6), dtype=np.uint8)]
)
@pytest.mark.parametrize('name', ['disparity_px', 'mask_logits', 'uncertainty_px'])
def test_a_plane_of_another_shape_or_type_is_refused_by_name(name: str, plane: np.ndarray) -> None:
    with pytest.raises(BackendError, match=f'{name} with shape .*expected height x width float32'):
        RawOutput(**{'disparity_px': None, name: plane})


def test_planes_of_different_sizes_are_refused() -> None:
    with pytest.raises(BackendError, match='size of the left picture'):
        RawOutput(disparity_px=PLANE, mask_logits=PLANE.T)


def test_pictures_are_copied_only_where_they_are_not_contiguous() -> None:
    whole = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    mirrored = whole[:, ::-1]
    left, right = contiguous_pair(whole, mirrored)
    assert left is whole
    assert right.flags.c_contiguous
    np.testing.assert_array_equal(right, mirrored)


def test_pictures_that_do_not_fit_each_other_are_refused() -> None:
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match='6x4 and the right one 5x4'):
        contiguous_pair(picture, picture[:, :5])
    with pytest.raises(ImageError, match='right picture has shape'):
        contiguous_pair(picture, picture[..., 0])
