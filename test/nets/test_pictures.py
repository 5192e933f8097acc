from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.nets.pictures import PictureNetwork  # noqa: E402


def tensors(views):
    return [torch.from_numpy(view)[None] for view in views]


@pytest.mark.parametrize('size', [(64, 32), (59, 31), (70, 33)], ids=str)
def test_pictures_of_any_size_become_planes_of_that_size(lively, reference, size):
    network = lively.lively_network('light')
    views = lively.picture_pair(*size)
    with torch.no_grad():
        disparity, logits = PictureNetwork(network)(*tensors(views))
    weights = reference.Weights(network.state_dict())
    expected, expected_logits = reference.forward(weights, *map(reference.normalised, views))
    width, height = size
    assert disparity.shape == logits.shape == (1, 1, height, width)
    np.testing.assert_allclose(disparity[0, 0], expected[0][:height, :width], atol=1e-4)
    np.testing.assert_allclose(logits[0, 0], expected_logits[0, :height, :width], atol=1e-4)


def test_padding_is_right_and_bottom_and_has_the_mean_colour(lively):
    prepared = PictureNetwork(lively.lively_network('light')).prepare(
        torch.zeros(1, 33, 40, 3, dtype=torch.uint8)
    )
    assert prepared.shape == (1, 3, 64, 64)
    assert (prepared[:, :, 33:] == 0).all() and (prepared[:, :, :, 40:] == 0).all()
    black = torch.tensor([-0.5339 / 0.2006, -0.3666 / 0.1978, -0.4537 / 0.2128])
    torch.testing.assert_close(prepared[0, :, 32, 39], black)


def test_red_is_the_first_channel(lively):
    picture = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    picture[..., 0] = 255
    prepared = PictureNetwork(lively.lively_network('light')).prepare(picture)
    assert prepared[0, 0, 0, 0] == pytest.approx((1 - 0.5339) / 0.2006, abs=1e-5)


@pytest.mark.parametrize(
    ('mode', 'inputs', 'outputs'),
    [
        ('multitask', ('left', 'right'), ('disparity', 'mask_logits')),
        ('disparity', ('left', 'right'), ('disparity',)),
        ('segmentation', ('left',), ('mask_logits',)),
    ],
)
def test_a_mode_names_its_inputs_and_outputs(lively, mode, inputs, outputs):
    pictures = PictureNetwork(lively.lively_network('light', mode=mode))
    assert (pictures.input_names, pictures.output_names) == (inputs, outputs)
    views = tensors(lively.picture_pair(40, 33))[: len(inputs)]
    with torch.no_grad():
        assert [tuple(plane.shape) for plane in pictures(*views)] == [(1, 1, 33, 40)] * len(
            outputs
        )


def test_of_several_classes_the_first_is_the_mask(lively):
    network = lively.lively_network('light', n_classes=3)
    left, right = tensors(lively.picture_pair(64, 32))
    pictures = PictureNetwork(network)
    with torch.no_grad():
        _, logits = pictures(left, right)
        _, expected = network(pictures.prepare(left), pictures.prepare(right))
    torch.testing.assert_close(logits, expected[:, :1])
    assert not torch.allclose(expected[:, 0], expected[:, 1])


@pytest.mark.parametrize('size', [(96, 64), (91, 59)], ids=str)
def test_a_fast_network_gives_its_planes_without_the_padding(lively, size):
    network = lively.lively_fast()
    pictures = PictureNetwork(network, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert pictures.output_names == ('disparity', 'mask_logits', 'log_scale')
    views = tensors(lively.picture_pair(*size))
    with torch.no_grad():
        planes = dict(zip(pictures.output_names, pictures(*views), strict=True))
        expected = network.deployed(*(pictures.prepare(view) for view in views))
    width, height = size
    wanted = (expected.disparity_px, expected.mask_logits, expected.log_scale)
    for plane, whole in zip(planes.values(), wanted, strict=True):
        torch.testing.assert_close(plane, whole[:, :, :height, :width], rtol=0, atol=0)
        assert plane.std() > 0.1


@pytest.mark.parametrize(
    ('mode', 'outputs'),
    [('disparity', ('disparity', 'log_scale')), ('segmentation', ('mask_logits',))],
)
def test_a_mode_of_a_fast_network_needs_the_views_that_it_looks_at(lively, mode, outputs):
    pictures = PictureNetwork(lively.lively_fast(mode=mode))
    needed = ('left', 'right') if mode == 'disparity' else ('left',)
    assert (pictures.input_names, pictures.output_names) == (needed, outputs)
    with torch.no_grad():
        planes = pictures(*tensors(lively.picture_pair(40, 33))[: len(needed)])
    assert [tuple(plane.shape) for plane in planes] == [(1, 1, 33, 40)] * len(outputs)


def test_half_features_keep_disparities_close(lively):
    from msdesis_ros.nets.registry import family_of

    network = lively.lively_fast()
    views = tensors(lively.picture_pair(96, 64))
    half = family_of(network).with_half_features(network)
    assert half.matcher.candidates_px.dtype == torch.float32
    assert half.encoder.encoder.to_half[0].weight.dtype == torch.float16
    with torch.no_grad():
        found, expected = (PictureNetwork(each)(*views) for each in (half, network))
    for plane, wanted in zip(found, expected, strict=True):
        assert plane.dtype == torch.float32
        assert 1e-5 < (plane - wanted).abs().mean() < 0.05
    assert network.encoder.to_half[0].weight.dtype == torch.float32
