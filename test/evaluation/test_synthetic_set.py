"""Frames to score on, from folders, shards and sources."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.synth.generate import generate_folder, generate_shards
from msdesis_ros.data.synth.recipes import SourceRecipe
from msdesis_ros.evaluation.synthetic_set import open_folder, open_source

sys.path.append(str(Path(__file__).parents[1] / 'data' / 'synth'))
from fake_source import FakeRecipe, fake_frame


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same three frames as folders and as shards."""
    out = tmp_path_factory.mktemp('sets')
    generate_folder(out / 'frames', FakeRecipe(), frames=3)
    generate_shards(out / 'shards', FakeRecipe(), frames=3, per_shard=2)
    return out


@pytest.mark.parametrize('layout', ['frames', 'shards'])
def test_both_layouts_give_the_same_frames_and_say_what_they_are(made: Path, layout: str) -> None:
    found = open_folder(made / layout)
    assert (found.frames, found.image_size) == (3, (96, 64))
    assert (found.about['source'], found.about['seed']) == ('fake', 3)
    assert json.loads(json.dumps(found.about)) == found.about
    expected = fake_frame(3, 2)
    np.testing.assert_allclose(found.frame(2).disparity_px, expected.disparity_px, atol=0.02)
    np.testing.assert_array_equal(found.frame(2).occluded, expected.occluded)
    found.close()


@pytest.mark.parametrize('layout', ['frames', 'shards'])
def test_fewer_frames_can_be_asked_for_and_more_cannot(made: Path, layout: str) -> None:
    assert open_folder(made / layout, 2).frames == 2
    with pytest.raises(UsageError, match='holds 3 frames; --frames asks for 4'):
        open_folder(made / layout, 4)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r'holds no manifest\.json'):
        open_folder(tmp_path)
    manifest = {'generator': 'msdesis_ros synth', 'layout': 'frames', 'frames': 2}
    for size in (None, [96], ['96', 64], 96):
        (tmp_path / 'manifest.json').write_text(json.dumps({**manifest, 'image_size': size}))
        with pytest.raises(FileFormatError, match='the manifest of'):
            open_folder(tmp_path)
    (tmp_path / 'manifest.json').write_text('[]')
    with pytest.raises(FileFormatError, match='holds no JSON object'):
        open_folder(tmp_path)


def test_a_source_makes_the_frames_of_its_seed() -> None:
    recipe = SourceRecipe('layered', 4, (96, 64))
    found = open_source(recipe, 2)
    assert (found.frames, found.image_size, found.about['seed']) == (2, (96, 64), 4)
    source = recipe.open()
    np.testing.assert_array_equal(found.frame(1).left, source.frame(1).left)
    found.close()
