from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
from torch import nn  # noqa: E402

from msdesis_ros.nets.msdesis.precision import with_half_features  # noqa: E402
from msdesis_ros.nets.msdesis.simplified import simplified  # noqa: E402


def images():
    return torch.randn(2, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('encoder', ['light', 'resnet34'])
def test_a_simplified_network_answers_the_same(lively, encoder, classes):
    network = lively.lively_network(encoder, n_classes=classes)
    smaller = simplified(network)
    with torch.no_grad():
        expected, expected_logits = network(*images())
        found, logits = smaller(*images())
    for level in range(6):
        torch.testing.assert_close(found[level], expected[level], atol=1e-4, rtol=0)
    torch.testing.assert_close(logits, expected_logits, atol=1e-4, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in smaller.modules())
    assert smaller.segmentation_head.upsample.out_channels == classes


def test_simplifying_leaves_the_network_as_it_was(lively):
    network = lively.lively_network('light')
    before = {name: value.clone() for name, value in network.state_dict().items()}
    simplified(network)
    assert network.state_dict().keys() == before.keys()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize('encoder', ['light', 'resnet34'])
def test_half_features_change_the_answer_a_little_and_disparities_stay_float(lively, encoder):
    network = simplified(lively.lively_network(encoder))
    half = with_half_features(network)
    assert half.feature_dtype == torch.float16 and network.feature_dtype == torch.float32
    with torch.no_grad():
        expected, expected_logits = network(*images())
        found, logits = half(*images())
    assert {plane.dtype for plane in (*found, logits)} == {torch.float32}
    assert 1e-5 < (found[0] - expected[0]).abs().mean() < 0.02
    assert 1e-5 < (logits - expected_logits).abs().mean() < 0.02
    head = half.disparity_head
    assert {p.dtype for p in head.refine.parameters()} == {torch.float32}
    assert {p.dtype for p in head.upsample1.parameters()} == {torch.float32}
    assert {p.dtype for p in head.disp_decoder_1.parameters()} == {torch.float16}
    assert {p.dtype for p in half.segmentation_head.parameters()} == {torch.float16}


def test_half_features_carry_disparities_that_half_cannot_count(lively):
    """At 300 px float16 counts in steps of 0.25 px."""
    network = simplified(lively.lively_network('light'))
    head = network.disparity_head
    with torch.no_grad():
        head.upsample1.conv.bias.add_(300.1)
        for value in head.refine.conv6[3].parameters():
            value.zero_()
        expected = network(*images())[0][0]
        found = with_half_features(network)(*images())[0][0]
    assert expected.mean() > 290
    assert (found - expected).abs().max() < 0.03
    assert (found.half().float() - expected).abs().max() > 0.1, 'the control, wholly in float16'
