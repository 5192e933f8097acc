"""The published phases, as they ship, train on miniatures of their data sets."""

from __future__ import annotations

import csv
import json
import math
import shutil

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError  # noqa: E402
from msdesis_ros.training.config import read_config  # noqa: E402
from msdesis_ros.training.finish import write_result  # noqa: E402
from msdesis_ros.training.journal import METRICS_FILE  # noqa: E402
from msdesis_ros.training.loop import Training  # noqa: E402
from msdesis_ros.training.state_files import BEST  # noqa: E402

SMALL = (
    'init=null',
    'network.max_disparity=64',
    'data.crops=[[64, 32]]',
    'data.validation_frames=2',
    'data.workers=0',
    'optimiser.batch_size=2',
    'optimiser.schedule={"steps": 2, "lr": 0.0001}',
    'run.threads=1',
    'run.device=cpu',
    'run.log_every=1',
)


@pytest.fixture
def phase(project_root, roots):
    """A configuration that ships, with small numbers."""

    def read(name, *changes, root=None):
        path = project_root / 'config' / 'train' / f'{name}.json'
        layout = json.loads(path.read_text())['data']['train'][0]['layout']
        place = root or roots[layout]
        at = [f'data.{part}.0.root={place}' for part in ('train', 'validation')]
        return read_config(path, [*SMALL, *at, *changes])

    return read


def rows(folder):
    with (folder / METRICS_FILE).open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ('name', 'terms', 'figure'),
    [
        ('ph1_disparity', {'disparity'}, 'epe_px'),
        ('ph2_disparity', {'disparity'}, 'epe_px'),
        ('ph2_segmentation', {'segmentation'}, 'iou'),
        ('ph2_multitask', {'disparity', 'segmentation'}, 'iou'),
    ],
)
def test_a_published_phase_trains_on_its_layout(phase, tmp_path, name, terms, figure):
    config = phase(name)
    training = Training(config, tmp_path)
    before = {key: w.clone() for key, w in training._network.named_parameters()}
    result = training.run()
    assert result.step == 2 and result.best is not None and (tmp_path / BEST).is_file()
    table = rows(tmp_path)
    assert len(table) == 2
    assert all(float(row[term]) > 0 for row in table for term in terms)
    assert not {'disparity', 'segmentation'} - terms & set(table[0])
    known = {key for key in ('epe_px', 'iou') if table[-1][key]}
    assert figure in known and math.isfinite(float(table[-1][figure]))
    assert any(not torch.equal(before[key], w) for key, w in training._network.named_parameters())
    source = config.data.train[0]
    assert source.place in training.data and ' samples' in training.data


def test_our_network_trains_on_monocular_pictures_with_masks_beside_pairs(
    tiny, shards, roots, tmp_path
):
    root = str(roots['ris17_train_monocular'])
    train = [
        {'shards': str(shards), 'weight': 1.0},
        {'layout': 'ris17_train_monocular', 'root': root, 'split': 'train', 'weight': 1.0},
    ]
    config = tiny.tiny_config(
        shards, data__train=train, optimiser__schedule={'steps': 2, 'lr': 0.001}
    )
    training = Training(config, tmp_path)
    assert training.run().step == 2
    assert all(math.isfinite(float(row['loss'])) for row in rows(tmp_path))


def test_the_card_says_what_it_was_trained_and_validated_on(phase, roots, tmp_path):
    config = phase('ph2_disparity')
    training = Training(config, tmp_path)
    result = training.run()
    path = write_result(
        training.network,
        config,
        result,
        tmp_path,
        data=training.data,
        command=['msdesis'],
        commit=None,
    )
    text = path.read_text()
    assert f'{roots["scared"]} (split train of the layout scared): 17 samples' in text
    assert 'up to 2 frames of' in text and 'split validation of the layout scared' in text


def test_a_file_that_is_missing_stops_before_the_first_step_or_is_left_out(phase, roots, tmp_path):
    root = tmp_path / 'scared'
    shutil.copytree(roots['scared'], root)
    (root / 'right_rectified/2_2.png').unlink()
    with pytest.raises(FileFormatError, match=r'right_rectified/2_2\.png: missing'):
        Training(phase('ph2_disparity', root=root), tmp_path / 'stop')
    assert not (tmp_path / 'stop').exists()
    said = []
    config = phase('ph2_disparity', 'data.when_broken=skip', root=root)
    training = Training(config, tmp_path / 'skip', say=said.append)
    assert len(said) == 1 and 'right_rectified/2_2.png: missing' in said[0]
    result = training.run()
    assert result.step == 2 and '16 samples' in training.data


def test_damage_inside_of_a_file_ends_the_training_or_is_said_once(phase, roots, tmp_path):
    root = tmp_path / 'flying'
    shutil.copytree(roots['flyingthings3d'], root)
    path = root / 'train/image_clean/left/0000001.png'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match=r'0000001\.png .* is not a whole picture'):
        Training(phase('ph1_disparity', root=root), tmp_path / 'stop').run()
    said = []
    config = phase(
        'ph1_disparity',
        'data.when_broken=skip',
        'optimiser.schedule={"steps": 3, "lr": 0.0001}',
        root=root,
    )
    result = Training(config, tmp_path / 'skip', say=said.append).run()
    assert result.step == 3
    assert len(said) == 1 and str(path) in said[0]


def test_a_phase_begins_with_the_result_of_the_one_before(phase, tmp_path):
    config = phase('ph1_disparity')
    training = Training(config, tmp_path)
    result = training.run()
    training.use_best()
    write_result(
        training.network,
        config,
        result,
        tmp_path,
        data=training.data,
        command=['msdesis'],
        commit=None,
    )
    init = tmp_path / 'model.safetensors'
    later = Training(phase('ph2_segmentation', f'init={init}'), tmp_path / 'later')
    ours, theirs = later._network.state_dict(), training.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
