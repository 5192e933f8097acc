"""Published data sets in miniature: their folders and names, pictures of 96x64 px."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (96, 64)
KEY_FRAMES = [f'{number}_{frame}' for number in range(1, 8) for frame in range(1, 6)]


def png(picture: np.ndarray) -> bytes:
    """RGB or grey."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode('.png', stored)[1].tobytes()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_flyingthings(root: Path, frame_of) -> Path:
    """Three pairs to train with and one to validate with; negative disparities, as published."""
    for number, name in enumerate(('train/0000000', 'train/0000001', 'train/0000002', 'val/7')):
        split, stem = name.split('/')
        frame = frame_of(number, SIZE)
        put(root / split / f'image_clean/left/{stem}.png', png(frame.left))
        put(root / split / f'image_clean/right/{stem}.png', png(frame.right))
        numbers = np.ascontiguousarray(-frame.disparity_px[::-1], '<f4')
        head = f'Pf\n{SIZE[0]} {SIZE[1]}\n-1.0\n'.encode()
        put(root / split / f'disparity/left/{stem}.pfm', head + numbers.tobytes())
    return root


def write_scared(root: Path, frame_of) -> Path:
    """All 35 key frames; the first row of the disparity is unknown."""
    for number, name in enumerate(KEY_FRAMES):
        frame = frame_of(number, SIZE)
        disparity = np.rint(frame.disparity_px * 128).astype(np.uint16)
        disparity[0] = 0
        put(root / f'left_rectified/{name}.png', png(frame.left))
        put(root / f'right_rectified/{name}.png', png(frame.right))
        put(root / f'disparity/{name}.png', png(disparity))
    return root


def write_ris2017(root: Path, frame_of, *, sets, stereo: bool) -> Path:
    """225 frames in each set, all of a set the same."""
    for number in sets:
        frame = frame_of(number, SIZE)
        mask = frame.instrument_mask.astype(np.uint8) * np.uint8(255)
        contents = {'left_frame': png(frame.left), 'ground_truth/binary': png(mask)}
        if stereo:
            contents['right_frame'] = png(frame.right)
        for folder, content in contents.items():
            place = root / f'instrument_dataset_{number}' / folder
            place.mkdir(parents=True)
            for index in range(225):
                (place / f'frame{index:03d}.png').write_bytes(content)
    return root
