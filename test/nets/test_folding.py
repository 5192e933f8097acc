from __future__ import annotations

import pytest

from msdesis_ros.core.errors import ModelError

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
from torch import nn  # noqa: E402

from msdesis_ros.nets.folding import fold_batch_norms  # noqa: E402


def random_norms(network):
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                value.data = torch.rand(value.shape, generator=random) + 0.3
    return network.eval()


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('kind', [nn.Conv2d, nn.ConvTranspose2d])
def test_a_folded_convolution_answers_the_same_without_its_norm(kind, bias):
    network = random_norms(nn.Sequential(kind(3, 5, 4, stride=2, bias=bias), nn.BatchNorm2d(5)))
    folded = fold_batch_norms(network)
    x = torch.randn(2, 3, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), network(x), atol=1e-5, rtol=1e-5)
        assert (network(x) - network[0](x)).abs().max() > 0.1, 'the norm did nothing to fold'
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_the_original_keeps_its_norms_and_its_mode():
    network = random_norms(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norms(network)
    assert network.training and not folded.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_norm_without_a_convolution_before_it_is_refused():
    with pytest.raises(ModelError, match='batch-norm 1 follows no convolution'):
        fold_batch_norms(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(5)))
