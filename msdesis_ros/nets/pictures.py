"""Pictures in, planes out: everything a deployment would otherwise have to do right by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.family import PLANE_OF_HEAD
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD
from msdesis_ros.nets.registry import family_of


class PictureNetwork(nn.Module):
    """A network of any family behind the contract that all backends share.

    Takes uint8 RGB pictures of any size, N x H x W x 3, and gives the planes `output_names` says,
    float32 N x 1 x H x W: `disparity` in px, `mask_logits` with instruments above 0, `log_scale`,
    the logarithm of the scale b of a Laplace distribution in px. `mean` and `std` (R, G, B of
    values from 0 to 1) are those that the weights were trained with.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: tuple[float, ...] = SCARED_MEAN,
        std: tuple[float, ...] = SCARED_STD,
    ) -> None:
        super().__init__()
        self.network = network
        self.family = family_of(network)
        # (v / 255 - mean) / std in one multiplication and one addition.
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer('scale', scale.float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer('shift', shift.float().view(1, 3, 1, 1), persistent=False)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The pictures `forward` needs, in its order."""
        return self.family.inputs(self.network.config)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The planes `forward` gives, in its order."""
        heads = self.network.config.heads
        return tuple(plane for head, plane in PLANE_OF_HEAD.items() if head in heads)

    def forward(self, left: Tensor, right: Tensor | None = None) -> tuple[Tensor, ...]:
        """N x H x W x 3 uint8 RGB each -> the planes of `output_names`, N x 1 x H x W float32."""
        height, width = left.shape[1:3]
        other = None if right is None else self.prepare(right)
        answer = self.family.deployed(self.network, self.prepare(left), other)
        planes = self.family.planes(answer)
        return tuple(planes[name][:, :, :height, :width] for name in self.output_names)

    def prepare(self, picture: Tensor) -> Tensor:
        """N x H x W x 3 uint8 -> N x 3 x H' x W' normalised float32, with the family's stride.

        The cast comes first, because TensorRT cannot transpose uint8. The padding, right and
        bottom, comes after normalising, where zero is the mean colour.
        """
        values = picture.float().permute(0, 3, 1, 2) * self.scale + self.shift
        height, width = picture.shape[1:3]
        right, bottom = -width % self.family.stride, -height % self.family.stride
        return functional.pad(values, (0, right, 0, bottom)) if right or bottom else values
