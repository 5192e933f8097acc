"""NVIDIA's own parser and builder take every exported network; no GPU is needed for that."""

from __future__ import annotations

from typing import Any

import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.runtime.tensorrt_builder import build_plan, import_tensorrt, interface_of

SIZE = (320, 256)


def exported(encoder: str, mode: str, precision: str) -> bytes:
    for package in ('torch', 'onnx', 'onnxscript'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    from msdesis_ros.export.graph import trace
    from msdesis_ros.nets.msdesis.precision import with_half_features
    from msdesis_ros.nets.msdesis.simplified import simplified
    from msdesis_ros.nets.pictures import PictureNetwork
    from msdesis_ros.nets.registry import create_network

    network: Any = simplified(create_network('msdesis', encoder=encoder, mode=mode).eval())
    if precision == 'fp16':
        network = with_half_features(network)
    return trace(PictureNetwork(network), image_size=SIZE).SerializeToString()


@pytest.mark.slow
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
@pytest.mark.parametrize(
    ('encoder', 'mode', 'heads'),
    [
        ('light', 'multitask', {'disparity', 'instrument_mask'}),
        ('resnet34', 'multitask', {'disparity', 'instrument_mask'}),
        ('light', 'disparity', {'disparity'}),
        ('light', 'segmentation', {'instrument_mask'}),
    ],
)
def test_the_parser_and_the_builder_take_the_network(
    encoder: str, mode: str, heads: set[str], precision: str
) -> None:
    try:
        flavour = import_tensorrt('tensorrt_rtx').__name__
    except MissingExtraError as error:
        pytest.skip(str(error))
    plan, nodes = build_plan(exported(encoder, mode, precision), name=encoder, flavour=flavour)
    interface = interface_of(nodes, encoder)
    assert len(plan) > 1_000_000
    assert (interface.width, interface.height) == SIZE
    assert interface.heads == heads
