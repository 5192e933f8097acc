"""What a network family says of itself, so that no other module has to know its insides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# The planes of a deployed network by the head of the model card that they answer, in their order.
PLANE_OF_HEAD = {
    'disparity': 'disparity',
    'instrument_mask': 'mask_logits',
    'uncertainty': 'log_scale',
}


class Family(ABC):
    """One family; its methods import PyTorch themselves.

    name: as model cards and checkpoints write it. config: the dataclass of one network's options,
    with `mode`, `max_disparity` (px) and `heads`. heads_of_mode: what each mode answers, in the
    words of the model cards. stride: sides of pictures are multiples of it. use_options: those of
    the config that say how weights are used, and are no part of them. float_weights: names of
    weights, with * for anything, whose convolutions an export in int8 leaves in float32.
    """

    name: ClassVar[str]
    config: ClassVar[type[Any]]
    heads_of_mode: ClassVar[Mapping[str, frozenset[str]]]
    stride: ClassVar[int]
    use_options: ClassVar[frozenset[str]] = frozenset({'mode'})
    float_weights: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, config: Any) -> nn.Module:
        """A network with fresh random weights, in train mode, on the CPU."""

    @abstractmethod
    def config_of(
        self, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str], source: str
    ) -> Any | None:
        """The config that names and shapes of weights tell; None where they are another family's.

        `metadata` may say what shapes leave open. Raises ModelError, beginning with `source`, for
        weights of this family that no config has.
        """

    @abstractmethod
    def fixed(self, config: Any) -> dict[str, Any]:
        """The options that weights decide, each as a value that is equal for equal weights."""

    @abstractmethod
    def inputs(self, config: Any) -> tuple[str, ...]:
        """The pictures that a network needs, of 'left' and 'right'."""

    def deployed(self, network: nn.Module, left: Tensor, right: Tensor | None) -> Any:
        """What a network answers in use, where `forward` may be for training alone."""
        return network(left, right)

    @abstractmethod
    def planes(self, answer: Any) -> dict[str, Tensor]:
        """The planes, by the names in PLANE_OF_HEAD, in what `forward` and `deployed` return."""

    @abstractmethod
    def simplified(self, network: nn.Module) -> nn.Module:
        """Copy a network in eval mode, without what can be computed once for all frames.

        The output changes by rounding alone; the copy cannot be trained.
        """

    @abstractmethod
    def with_half_features(self, network: nn.Module) -> nn.Module:
        """Copy a network so that features are float16, and disparities and geometry float32."""

    def enlarged(self, config: Any) -> tuple[tuple[int, int, int], ...]:
        """As `InputRule` of the model cards says."""
        return ()

    def of_input(self, enlarged: tuple[tuple[int, int, int], ...]) -> dict[str, Any]:
        """The options of a network whose card says so of its input."""
        return {}

    def mode_of(self, heads: frozenset[str]) -> str | None:
        """The mode that answers exactly these heads, None where there is none."""
        return next((mode for mode, given in self.heads_of_mode.items() if given == heads), None)
