from __future__ import annotations

import subprocess
import sys

import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.registry import create_network

# What a machine without PyTorch sees: the import fails as if nothing were installed.
WITHOUT_TORCH = """
import sys
sys.modules['torch'] = sys.modules['safetensors'] = sys.modules['onnx'] = None
import msdesis_ros.nets, msdesis_ros.nets.registry, msdesis_ros.nets.checkpoints
import msdesis_ros.export, msdesis_ros.export.onnx_export, msdesis_ros.cli.export
from msdesis_ros.core.errors import MissingExtraError
try:
    {use}
except MissingExtraError as error:
    print(error)
"""


def test_a_network_is_created_by_the_name_of_its_family(lively):
    network = create_network('msdesis', encoder='ResNet34', max_disparity=64, mode='disparity')
    assert network.config.encoder == 'resnet34'
    assert network.config.candidates == 3
    assert network.training


@pytest.mark.parametrize(
    ('family', 'options', 'sentence'),
    [
        ('mesdesis', {}, "no network family is called 'mesdesis'; known: msdesis"),
        ('msdesis', {'encoder': 'light', 'depth': 3}, 'msdesis has no option depth; its options'),
        ('msdesis', {'encoder': 'resnet50'}, "encoder is 'resnet50'; known: light, resnet34"),
        ('msdesis', {'encoder': None}, 'encoder is None'),
        ('msdesis', {}, 'msdesis needs the option encoder'),
        ('msdesis', {'encoder': 'light', 'mode': 'depth'}, 'known: multitask, disparity, segm'),
        ('msdesis', {'encoder': 'light', 'max_disparity': 0}, 'whole number from 1'),
        ('msdesis', {'encoder': 'light', 'n_classes': 1.5}, 'whole number from 1'),
        ('msdesis', {'encoder': 'light', 'n_classes': True}, 'whole number from 1'),
    ],
)
def test_a_wrong_family_or_option_is_refused_before_torch_is_needed(family, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        create_network(family, **options)


@pytest.mark.parametrize(
    'use',
    [
        "msdesis_ros.nets.registry.create_network('msdesis', encoder='light')",
        "msdesis_ros.nets.checkpoints.parse_checkpoint(b'', source='w.pt')",
        "msdesis_ros.export.onnx_export.export_onnx(None, 'x.onnx', image_size=(9, 9), origin=1)",
    ],
)
def test_without_torch_everything_imports_and_the_use_names_the_extra(project_root, use):
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_TORCH.format(use=use)],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'msdesis_ros[" in done.stdout
