"""At which size the disparity and the mask of a picture are looked for. Knows no torch."""

from __future__ import annotations

from typing import TypeVar

from msdesis_ros.nets.fast.config import COARSEST_STRIDE, ENLARGED, Enlargements

# A whole number, or the tensor that stands for one while a graph for any size is traced.
Side = TypeVar('Side')

# The mask of pictures with no more pixels than this is looked for at the finer of its two sizes:
# of what both cost together, none costs more than one of 1280x1024 either.
MOST_PIXELS_FINE_MASK = 720 * 576


def working_size(
    height: Side, width: Side, enlarged: Enlargements = ENLARGED
) -> tuple[Side, Side]:
    """(height, width), multiples of 32, at which a picture with such sides is matched.

    What lies at 1/8 and 1/4 of a picture lies finer in a larger one: where both eyes see a surface
    the error falls by a quarter, for 2.25 times the work. One whole-number formula without
    branches, which a traced graph holds as it is.
    """
    down, across = height, width
    for numerator, denominator, most_pixels in reversed(enlarged):
        # 1 or more where the enlarged picture is within the limit, else 0.
        fits = denominator**2 * most_pixels // (numerator**2 * height * width)
        # 1 or 0.
        chosen = 1 - 1 // (1 + fits)
        down = down + chosen * (_enlarged(height, numerator, denominator) - down)
        across = across + chosen * (_enlarged(width, numerator, denominator) - across)
    return down, across


def mask_size(
    height: Side, width: Side, size: tuple[int, int], fine_size: tuple[int, int]
) -> tuple[Side, Side]:
    """(height, width) at which the mask of a picture with such sides is looked for.

    size, fine_size: (width, height) px, of a `MaskTrunk`. Again one formula without branches.
    """
    fits = MOST_PIXELS_FINE_MASK // (height * width)
    fine = 1 - 1 // (1 + fits)
    across, down = (
        usual + fine * (larger - usual) for usual, larger in zip(size, fine_size, strict=True)
    )
    return down, across


def _enlarged(side: Side, numerator: int, denominator: int) -> Side:
    step = denominator * COARSEST_STRIDE
    return (numerator * side + step - 1) // step * COARSEST_STRIDE
