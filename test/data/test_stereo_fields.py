"""The EndoVis 2018 texts, whose defects are their own; OpenCV files: test_calibration_files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.data.stereo_fields import picture_size, read_stereo_fields

TEXT = """\
Width: 1280                                         // width of the images in pixels
Height: 1024                                        // height of the images in pixels
Camera-0-F: 1084.21 1084.05                         // left camera x,y focal dist in pixels
Camera-0-C: 580.02 506.79
Camera-0-Alpha: 0.00000                             // left camera skew
Camera-0-K: -0.00069 0.00195 0.00018 0.00000 0.00001
Camera-1-F: 1083.43 1083.22
Camera-1-C: 680.91 505.81
Camera-1-K: -0.00085 0.00245 0.00004 0.00000 0.00000
Extrinsic-Omega: -0.0002 -0.0011 -0.0000            // left to right camera rotation
Extrinsic-T: -4.3499 0.0333 -0.0369                 // left to right camera position"""
DEBRIS = "\n\n{'Header': {'size': 166}, 'k': [], 'c': [, ], 'f': [900390625, 986328125]}\n"


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / 'camera_calibration.txt'
        path.write_text(text)
        return read_stereo_fields(path)

    return read


@pytest.mark.parametrize('text', [TEXT, TEXT + DEBRIS, TEXT.replace('\n', '\r\n')])
def test_an_endovis_text_is_read_in_opencv_terms(read, text):
    fields = read(text)
    np.testing.assert_array_equal(
        fields.k[0], [[1084.21, 0, 580.02], [0, 1084.05, 506.79], [0, 0, 1]]
    )
    assert fields.k[1][0, 2] == 680.91
    np.testing.assert_array_equal(fields.d[0], [-0.00069, 0.00195, 0.00018, 0, 0.00001])
    np.testing.assert_allclose(cv2.Rodrigues(fields.r)[0][:, 0], [-0.0002, -0.0011, 0], atol=1e-12)
    np.testing.assert_array_equal(fields.t, [-4.3499, 0.0333, -0.0369])
    assert fields.sizes == ((1280, 1024),)
    assert fields.rectification is None


@pytest.mark.parametrize(
    ('old', 'new', 'kind', 'reason'),
    [
        ('Camera-1-K', 'Camera-1-X', FileFormatError, 'Camera-1-K not found'),
        ('680.91 505.81', '680.91', FileFormatError, '1 numbers; expected 2 x 1'),
        ('-4.3499', 'west', FileFormatError, "'west'"),
        ('Width: 1280', 'Width: 1280\nWidth: 640', FileFormatError, 'Width occurs twice'),
        ('Width: 1280', 'Width: 12.5', FileFormatError, 'whole number'),
        ('Alpha: 0.00000', 'Alpha: 0.1', CalibrationError, 'skew'),
    ],
)
def test_a_defect_that_matters_is_refused_by_name(read, old, new, kind, reason):
    with pytest.raises(kind) as caught:
        read(TEXT.replace(old, new, 1))
    assert reason in str(caught.value)


@pytest.mark.parametrize('size', [(0, 5), (5, -1), (40_000, 5)])
def test_a_size_no_picture_has_is_refused(tmp_path, size):
    with pytest.raises(FileFormatError, match='px a side'):
        picture_size(*size, tmp_path)
