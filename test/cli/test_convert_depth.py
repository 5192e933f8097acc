"""`msdesis convert depth`, against depths and disparities that are written out as formulas."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
from built_program import built_program
from scared_converted import Camera, put, put_scaled

CAMERA = Camera()
WIDTH, HEIGHT = CAMERA.size


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr('msdesis_ros.cli.app.app', built_program())


@pytest.fixture
def convert(run_command, tmp_path):
    """`msdesis convert depth SOURCE OUT --calibration ...`."""
    calibration = tmp_path / 'stereo_calib.json'
    calibration.write_text(CAMERA.calibration())
    run = run_command('convert')

    def convert(source, out, *options):
        return run('depth', source, out, '--calibration', calibration, *options)

    return convert


@pytest.fixture
def disparities(tmp_path) -> Path:
    """Two frames: the surface, and the surface with a hole."""
    folder = tmp_path / 'disparity'
    holed = CAMERA.disparity()
    holed[18:26, 24:36] = 0
    put_scaled(folder / '000000.png', CAMERA.disparity())
    put_scaled(folder / '000007.png', holed)
    return folder


def stored(path: Path, scale: float = 128) -> np.ndarray:
    plane = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert plane.dtype == np.uint16 and plane.ndim == 2
    return plane / scale


def about(folder: Path) -> dict:
    return json.loads((folder / 'values.json').read_text())


def published_way(disparity_px: np.ndarray) -> np.ndarray:
    """What scared_toolkit does, in own words: points, thrown into a view without lens, filled."""
    p, r1, k = CAMERA.p1, CAMERA.r1, CAMERA.k1
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    with np.errstate(divide='ignore', invalid='ignore'):
        z = CAMERA.focal_times_baseline / disparity_px
        rays = [(u - p[0, 2]) / p[0, 0], (v - p[1, 2]) / p[1, 1], np.ones_like(u)]
        points = np.stack(rays, axis=-1) * z[..., None] @ r1
        column = np.rint(p[0, 0] * points[..., 0] / points[..., 2] + p[0, 2])
        row = np.rint(p[1, 1] * points[..., 1] / points[..., 2] + p[1, 2])
    flat = np.full((HEIGHT, WIDTH), np.nan)
    inside = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    flat[row[inside].astype(int), column[inside].astype(int)] = points[..., 2][inside]
    map_x, map_y = np.empty((HEIGHT, WIDTH)), np.empty((HEIGHT, WIDTH))
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
    found = cv2.undistortPoints(pixels, k, CAMERA.d1, P=p[:, :3]).reshape(HEIGHT, WIDTH, 2)
    map_x, map_y = found[..., 0].astype(np.float32), found[..., 1].astype(np.float32)
    return cv2.remap(
        flat.astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderValue=float('nan')
    )


def test_a_folder_of_disparities_becomes_depth_maps_in_mm(convert, disparities, tmp_path):
    code, out, err = convert(disparities, tmp_path / 'depth')
    assert (code, err) == (0, '') and '2 files of depth_mm at the scale 128' in out
    depth_mm = stored(tmp_path / 'depth/000000.png')
    seen, truth = CAMERA.seen(), CAMERA.depth()
    # 1/128 px of disparity is up to 0.1 mm at the far end of this surface.
    step_mm = (truth**2 / CAMERA.focal_times_baseline).max() / 128
    error = np.abs(depth_mm - truth)[seen]
    assert error.max() < step_mm + 0.02
    assert (depth_mm[~seen] == 0).mean() > 0.4
    made = about(tmp_path / 'depth')
    assert (made['quantity'], made['scale'], made['source_scale']) == ('depth_mm', 128, 128)
    assert made['fill'] == 'none' and made['files'] == 2 and len(made['calibration_sha256']) == 64


def test_a_zero_disparity_is_unknown_and_no_infinite_point(convert, disparities, tmp_path):
    assert convert(disparities, tmp_path / 'depth', '--format', 'tiff')[0] == 0
    holed = cv2.imread(str(tmp_path / 'depth/000007.tiff'), cv2.IMREAD_UNCHANGED)
    assert holed.dtype == np.float32 and not np.isinf(holed).any()
    assert np.isnan(holed[20:26, 26:34]).any()
    disparity_px = stored(disparities / '000007.png')
    # The published way makes infinite points of them, which then have no pixel at all.
    with np.errstate(divide='ignore'):
        assert np.isinf(CAMERA.focal_times_baseline / disparity_px).any()


def test_depth_maps_become_disparities_and_back_within_the_interpolation(convert, tmp_path):
    put(tmp_path / 'given/a.tiff', CAMERA.depth().astype(np.float32))
    for source, out, to in (('given', 'there', 'disparity'), ('there', 'back', 'depth')):
        code, _, err = convert(
            tmp_path / source, tmp_path / out, '--to', to, '--format', 'tiff', '-j', 3
        )
        assert (code, err) == (0, '')
    there, back = (
        cv2.imread(str(tmp_path / name / 'a.tiff'), cv2.IMREAD_UNCHANGED)
        for name in ('there', 'back')
    )
    assert about(tmp_path / 'there')['quantity'] == 'disparity_px'
    both = np.isfinite(back) & CAMERA.seen()
    assert both.sum() > 0.95 * CAMERA.seen().sum()
    assert np.abs(there - CAMERA.disparity())[CAMERA.shown()].max() < 0.02
    error = np.abs(back - CAMERA.depth())[both]
    assert error.mean() < 0.01 and error.max() < 0.5


def test_a_depth_map_of_points_is_read_by_its_z(convert, tmp_path):
    depth = CAMERA.depth().astype(np.float32)
    put(tmp_path / 'plain/a.tiff', depth)
    # The published left_depth_map.tiff: X, Y, Z; OpenCV writes the last channel first.
    put(tmp_path / 'points/a.tiff', np.dstack([depth, depth * -0.5, depth * 0.25]))
    for name in ('plain', 'points'):
        assert convert(tmp_path / name, tmp_path / 'out' / name, '--to', 'disparity')[0] == 0
    plain, points = ((tmp_path / 'out' / name / 'a.png') for name in ('plain', 'points'))
    assert stored(plain).any() and points.read_bytes() == plain.read_bytes()
    code, _, err = convert(tmp_path / 'points', tmp_path / 'other', '--to', 'depth')
    assert code == 1 and 'points/a.tiff has three channels, as the points X, Y, Z' in err


def test_holes_stay_unless_the_published_fill_is_asked_for(convert, disparities, tmp_path):
    assert convert(disparities, tmp_path / 'plain')[0] == 0
    assert convert(disparities, tmp_path / 'filled', '--fill', 'raster')[0] == 0
    plain, filled = (stored(tmp_path / name / '000007.png') for name in ('plain', 'filled'))
    assert (plain == 0).any() and (filled > 0).all()
    np.testing.assert_allclose(filled[plain > 0], plain[plain > 0], atol=1 / 128)
    # By hand, one row of the hole: the straight line between its two ends.
    row = int(np.flatnonzero((plain[:, 28:32] == 0).all(axis=1))[0])
    known = np.flatnonzero(plain[row])
    left, right = known[known < 28].max(), known[known > 31].min()
    middle = (left + right) // 2
    line = np.interp(middle, [left, right], plain[row, [left, right]])
    assert filled[row, middle] == pytest.approx(line, abs=0.02)
    assert about(tmp_path / 'filled')['fill'] == 'raster'


def test_the_published_way_differs_by_its_nearest_pixels(convert, disparities, tmp_path):
    assert convert(disparities / '000000.png', tmp_path / 'depth', '--format', 'tiff')[0] == 0
    ours = cv2.imread(str(tmp_path / 'depth/000000.tiff'), cv2.IMREAD_UNCHANGED)
    published = published_way(stored(disparities / '000000.png'))
    both = np.isfinite(published) & np.isfinite(ours) & CAMERA.seen()
    assert both.sum() > 0.9 * CAMERA.seen().sum()
    truth = CAMERA.depth()
    # One view, one surface: they agree but for half a pixel here and there.
    assert np.abs(ours - published)[both].mean() < 0.5
    assert np.abs(ours - truth)[both].mean() < np.abs(published - truth)[both].mean()


def test_results_that_are_there_stay_until_overwrite_is_given(convert, disparities, tmp_path):
    out = tmp_path / 'depth'
    assert convert(disparities, out)[0] == 0
    first = (out / '000000.png').read_bytes()
    put_scaled(disparities / '000000.png', CAMERA.disparity() + 2)
    code, _, err = convert(disparities, out)
    assert code == 2 and '2 of 2 files are in' in err and '--overwrite' in err
    assert (out / '000000.png').read_bytes() == first
    assert convert(disparities, out, '--overwrite')[0] == 0
    assert (out / '000000.png').read_bytes() != first
    assert (stored(out / '000000.png')[CAMERA.seen()] < CAMERA.depth()[CAMERA.seen()]).all()


def test_scales_are_given_stored_and_never_mixed(convert, disparities, tmp_path):
    put_scaled(tmp_path / 'fine/000000.png', CAMERA.disparity(), 256)
    assert (
        convert(
            tmp_path / 'fine', tmp_path / 'a', '--scale-factor', 256, '--out-scale-factor', 64
        )[0]
        == 0
    )
    assert about(tmp_path / 'a')['scale'] == 64 and about(tmp_path / 'a')['source_scale'] == 256
    depth_mm = stored(tmp_path / 'a/000000.png', 64)
    assert np.abs(depth_mm - CAMERA.depth())[CAMERA.seen()].max() < 0.2
    # What the folder says of itself is used, and not contradicted.
    code, _, err = convert(
        tmp_path / 'a', tmp_path / 'b', '--to', 'disparity', '--scale-factor', 128
    )
    assert code == 2 and 'holds 64 for 1' in err
    assert convert(tmp_path / 'a', tmp_path / 'b', '--to', 'disparity')[0] == 0
    back = stored(tmp_path / 'b/000000.png')
    known = (back > 0) & CAMERA.shown()
    assert np.abs(back - CAMERA.disparity())[known].mean() < 0.02
    code, _, err = convert(tmp_path / 'a', tmp_path / 'c')
    assert code == 2 and 'expected disparity_px' in err
    # Files of another scale beside those that stay.
    (tmp_path / 'a/000003.png').write_bytes((tmp_path / 'a/000000.png').read_bytes())
    code, _, err = convert(disparities / '000007.png', tmp_path / 'a', '--out-scale-factor', 128)
    assert code == 2 and 'files that would stay' in err


def test_values_beyond_16_bits_are_told(convert, disparities, tmp_path):
    code, _, err = convert(disparities, tmp_path / 'depth', '--out-scale-factor', 1000)
    assert code == 0 and 'too large for 16 bits at the scale 1000' in err
    assert set(about(tmp_path / 'depth')['too_large']) == {'000000.png', '000007.png'}


def test_a_damaged_file_is_named_and_the_others_are_converted(convert, disparities, tmp_path):
    out = tmp_path / 'depth'
    put_scaled(disparities / '000009.png', CAMERA.disparity()[:, :-4])
    assert convert(disparities / '000000.png', out)[0] == 0
    (disparities / '000000.png').write_bytes(b'x')
    code, _, err = convert(disparities, out, '--overwrite')
    assert code == 1 and err.count('\n') == 1
    assert '2 of 3 files were not converted' in err
    assert '000000.png' in err and '000009.png' in err and '(48, 60); expected (48, 64)' in err
    # What lay there under the name of the damaged one would be taken for its result.
    assert sorted(p.name for p in out.iterdir()) == ['000007.png', 'values.json']
    assert set(about(out)['failed']) == {'000000.png', '000009.png'}


WRONG_USE = {
    'nothing there': ('{tmp}/none', (), 'none does not exist'),
    'no planes': ('{tmp}', (), 'holds no file that ends in .png'),
    'direction': ('{tmp}/disparity', ('--to', 'mesh'), "to is 'mesh'; known are depth"),
    'format': ('{tmp}/disparity', ('--format', 'exr'), 'known are png, tiff'),
    'fill': ('{tmp}/disparity', ('--fill', 'magic'), 'known are none, raster'),
    'filled disparity': (
        '{tmp}/disparity',
        ('--to', 'disparity', '--fill', 'raster'),
        'only depth maps are filled',
    ),
    'scale': ('{tmp}/disparity', ('--scale-factor', '0'), 'scale is 0; expected a number above 0'),
    'out scale': ('{tmp}/disparity', ('--out-scale-factor', '-1'), 'out_scale is -1; expected'),
    'unit': ('{tmp}/disparity', ('--unit', 'inch'), 'choose mm or m'),
    'jobs': ('{tmp}/disparity', ('--jobs', '0'), '--jobs'),
}


@pytest.mark.parametrize(('source', 'options', 'words'), WRONG_USE.values(), ids=WRONG_USE)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    convert, disparities, tmp_path, source, options, words
):
    code, out, err = convert(source.format(tmp=tmp_path), tmp_path / 'out', *options)
    assert (code, out) == (2, '') and words in ' '.join(err.split())
    assert not (tmp_path / 'out').exists()


def test_files_that_would_become_one_and_their_own_folder_are_refused(
    convert, disparities, tmp_path
):
    code, _, err = convert(disparities, disparities, '--overwrite')
    assert code == 2 and 'holds the files to convert' in err
    put(disparities / '000000.tiff', CAMERA.disparity().astype(np.float32))
    code, _, err = convert(disparities, tmp_path / 'out')
    assert code == 2 and 'would both become 000000' in err


def test_a_calibration_that_is_missing_or_for_other_pictures_is_one_sentence(
    run_command, disparities, tmp_path
):
    run = run_command('convert')
    (tmp_path / 'other.json').write_text(Camera(size=(128, 96)).calibration())
    for name, words in (('none.json', 'none.json'), ('other.json', '64x48')):
        code, _, err = run(
            *('depth', disparities, tmp_path / 'out', '--calibration', tmp_path / name)
        )
        assert code == 1 and words in err and err.count('\n') == 1
        assert not (tmp_path / 'out').exists()


def test_principal_points_that_are_apart_are_told(run_command, disparities, tmp_path):
    (tmp_path / 'apart.json').write_text(Camera(apart=2.5).calibration())
    code, _, err = run_command('convert')(
        *('depth', disparities, tmp_path / 'out', '--calibration', tmp_path / 'apart.json')
    )
    assert code == 0 and 'principal points of P1 and P2 are +2.50 px apart' in err


def test_help_names_an_example(convert, run_command):
    code, out, _ = run_command('convert')('depth', '--help')
    assert code == 0 and 'msdesis convert depth disparity' in ' '.join(out.split())
