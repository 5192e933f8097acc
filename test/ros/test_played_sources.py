"""What the player makes of its files; test_player.py has what arrives of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from rclpy.parameter import Parameter

from msdesis_ros.ros.played_sources import make_source
from msdesis_ros.ros.player import StereoPlayer

sys.path.append(str(Path(__file__).parents[1]))
from stereo_videos import overwrite_picture, views, write_video

NOTHING = {
    'recording': '', 'video': '', 'left': '', 'right': '', 'layout': 'side_by_side',
    'swap': False, 'encoding': 'rgb8', 'rate_hz': 0.0,
}  # fmt: skip


def two_videos(tmp_path: Path, count: int) -> dict[str, str]:
    pictures = [views(number)[0] for number in range(count)]
    return {
        side: str(write_video(tmp_path / f'{side}.avi', pictures, encoder='mjpeg'))
        for side in ('left', 'right')
    }


def test_a_picture_that_does_not_decode_is_left_out_with_its_partner(tmp_path: Path) -> None:
    paths = two_videos(tmp_path, 6)
    whole = make_source({**NOTHING, **paths})
    stamps_ns = [played.stamp_ns for played in whole.play()]
    assert len(stamps_ns) == 12 and whole.facts()['pictures_damaged'] == 0
    overwrite_picture(Path(paths['right']), 2)
    source = make_source({**NOTHING, **paths})
    sent = list(source.play())
    assert [played.side for played in sent] == ['left', 'right'] * 5
    assert [played.stamp_ns for played in sent] == [*stamps_ns[:4], *stamps_ns[6:]]
    assert source.facts() == {'pairs_available': 6, 'pictures_damaged': 1}


def test_a_picture_that_the_decoder_filled_in_is_left_out(tmp_path: Path, monkeypatch) -> None:
    source = make_source({**NOTHING, **two_videos(tmp_path, 4)})
    pairs = [pair._replace(damaged=n == 1) for n, pair in enumerate(source._videos)]
    monkeypatch.setattr(type(source._videos), '__iter__', lambda _: iter(pairs))
    sent = [played.message for played in source.play() if played.side == 'left']
    shown = [np.asarray(message.data).reshape(pairs[0].left.shape) for message in sent]
    for found, pair in zip(shown, [pairs[0], *pairs[2:]], strict=True):
        np.testing.assert_array_equal(found, pair.left)


def test_a_video_of_which_nothing_decodes_is_an_error(tmp_path: Path) -> None:
    paths = two_videos(tmp_path, 3)
    for number in range(3):
        overwrite_picture(Path(paths['left']), number)
    with pytest.raises(FileFormatError, match=r'left\.avi: not one pair of pictures decodes'):
        list(make_source({**NOTHING, **paths}).play())


def test_the_player_tells_of_pictures_that_it_left_out_and_ends_well(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = two_videos(tmp_path, 4)
    overwrite_picture(Path(paths['left']), 1)
    geometry = {'rectified': True, 'focal_px': 500.0, 'baseline_mm': 4.0}
    settings = {**paths, **geometry, 'loop': False}
    player = StereoPlayer(
        context=graph.context,
        parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()],
    )
    graph.add(player)
    try:
        assert graph.spin_until(lambda: player.exit_code is not None)
        assert player.exit_code == 0
        assert (player.report()['pairs_sent'], player.report()['pictures_damaged']) == (3, 1)
    finally:
        graph.remove(player)
        player.destroy_node()
    assert 'pictures of the video that are damaged or missing: 1;' in capfd.readouterr().err
