"""The network once more, in NumPy and double precision, one tap and one pixel at a time.

Written from the description of the architecture alone, as a function of a state_dict instead of a
tree of modules, so that it shares neither code nor structure with the package. Everything is
C x H x W of one picture; slow by design.
"""

from __future__ import annotations

import math

import numpy as np

CHANNELS = {'light': (16, 32, 64, 96, 128), 'resnet34': (64, 64, 128, 256, 512)}


class Weights:
    """Arrays by name; reading `weights[name]` notes that the name was used."""

    def __init__(self, state) -> None:
        self.arrays = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


def convolve(w: Weights, name: str, x: np.ndarray, *, stride: int = 1) -> np.ndarray:
    kernel = w[f'{name}.weight']
    taps = kernel.shape[2]
    border = taps // 2
    height, width = x.shape[1] // stride, x.shape[2] // stride
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    out = np.zeros((kernel.shape[0], height, width))
    for j in range(taps):
        for i in range(taps):
            seen = padded[:, j : j + height * stride : stride, i : i + width * stride : stride]
            out += np.tensordot(kernel[:, :, j, i], seen, axes=1)
    return out + w[f'{name}.bias'][:, None, None] if f'{name}.bias' in w else out


def grow(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Transposed convolution 4 x 4, stride 2, padding 1: every input stamps its kernel."""
    kernel = w[f'{name}.weight']
    _, height, width = x.shape
    canvas = np.zeros((kernel.shape[1], 2 * height + 2, 2 * width + 2))
    for j in range(4):
        for i in range(4):
            stamp = np.tensordot(kernel[:, :, j, i].T, x, axes=1)
            canvas[:, j : j + 2 * height : 2, i : i + 2 * width : 2] += stamp
    out = canvas[:, 1:-1, 1:-1]
    return out + w[f'{name}.bias'][:, None, None] if f'{name}.bias' in w else out


def normalise(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for c in range(len(x)):
        deviation = math.sqrt(w[f'{name}.running_var'][c] + 1e-5)
        out[c] = (x[c] - w[f'{name}.running_mean'][c]) / deviation
        out[c] = out[c] * w[f'{name}.weight'][c] + w[f'{name}.bias'][c]
    return out


def leak(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.1 * x)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def cost_volume(left: np.ndarray, right: np.ndarray, displacements) -> np.ndarray:
    _, height, width = left.shape
    out = np.zeros((len(displacements), height, width))
    for channel, k in enumerate(displacements):
        for x in range(width):
            if 0 <= x - k < width:
                out[channel, :, x] = (left[:, :, x] * right[:, :, x - k]).mean(axis=0)
    return out


def warp(right: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """The position read is (x - d) W / (W - 1) - 1/2 and y H / (H - 1) - 1/2; 0 outside."""
    _, height, width = right.shape
    out = np.zeros_like(right)
    for y in range(height):
        for x in range(width):
            at_x = (x - disparity[y, x]) * width / max(width - 1, 1) - 0.5
            at_y = y * height / max(height - 1, 1) - 0.5
            x0, y0 = math.floor(at_x), math.floor(at_y)
            for row, share_y in ((y0, y0 + 1 - at_y), (y0 + 1, at_y - y0)):
                for column, share_x in ((x0, x0 + 1 - at_x), (x0 + 1, at_x - x0)):
                    if 0 <= row < height and 0 <= column < width:
                        out[:, y, x] += share_y * share_x * right[:, row, column]
    return out


def twice(plane: np.ndarray) -> np.ndarray:
    """Bilinear to twice the size with half-pixel centres; the border value goes on outside."""
    height, width = plane.shape
    out = np.zeros((2 * height, 2 * width))
    for y in range(2 * height):
        for x in range(2 * width):
            at_y = min(max((y + 0.5) / 2 - 0.5, 0), height - 1)
            at_x = min(max((x + 0.5) / 2 - 0.5, 0), width - 1)
            y0, x0 = int(at_y), int(at_x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            upper = plane[y0, x0] * (1 - at_x + x0) + plane[y0, x1] * (at_x - x0)
            lower = plane[y1, x0] * (1 - at_x + x0) + plane[y1, x1] * (at_x - x0)
            out[y, x] = upper * (1 - at_y + y0) + lower * (at_y - y0)
    return out


def light_features(w: Weights, x: np.ndarray) -> list[np.ndarray]:
    found = []
    for stage in range(5):
        at = f'feature_extractor.encoder_{stage}.encoder'
        x = leak(normalise(w, f'{at}.1', convolve(w, f'{at}.0', x, stride=2)))
        x = leak(normalise(w, f'{at}.4', convolve(w, f'{at}.3', x)))
        found.append(x)
    return found


def resnet34_features(w: Weights, image: np.ndarray) -> list[np.ndarray]:
    at = 'feature_extractor.layer_0'
    x = relu(normalise(w, f'{at}.1', convolve(w, f'{at}.0', image, stride=2)))
    found = [x]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = np.max(
        [
            padded[:, j : j + 2 * height : 2, i : i + 2 * width : 2]
            for j in range(3)
            for i in range(3)
        ],
        axis=0,
    )
    for layer, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for block in range(blocks):
            at = f'feature_extractor.layer_{layer}.{block}'
            stride = 2 if layer > 1 and block == 0 else 1
            inner = relu(normalise(w, f'{at}.bn1', convolve(w, f'{at}.conv1', x, stride=stride)))
            inner = normalise(w, f'{at}.bn2', convolve(w, f'{at}.conv2', inner))
            if stride == 2:
                x = convolve(w, f'{at}.downsample.0', x, stride=2)
                x = normalise(w, f'{at}.downsample.1', x)
            x = relu(inner + x)
        found.append(x)
    return found


def estimate(w: Weights, level: int, costs: np.ndarray, features: np.ndarray) -> np.ndarray:
    at = f'disparity_head.disp_decoder_{level}.estimation'
    x = np.concatenate([costs, features])
    for number in range(5):
        x = convolve(w, f'{at}.{number}.layer.0', x)
        x = leak(normalise(w, f'{at}.{number}.layer.1', x))
    return convolve(w, f'{at}.5', x)[0]


def finer(w: Weights, level: int, plane: np.ndarray) -> np.ndarray:
    """From `level` to the next finer one."""
    return convolve(w, f'disparity_head.upsample{level}.conv', twice(plane)[None])[0]


def refinement(w: Weights, plane: np.ndarray, image: np.ndarray) -> np.ndarray:
    at = 'disparity_head.refine'

    def step(name, x, stride):
        x = convolve(w, f'{at}.{name}.layer.0', x, stride=stride)
        return leak(normalise(w, f'{at}.{name}.layer.1', x))

    kept = step('conv2', step('conv1', np.concatenate([plane[None], image]), 2), 1)
    low = step('conv4', step('conv3', kept, 2), 1)
    x = leak(normalise(w, f'{at}.conv5.1', grow(w, f'{at}.conv5.0', low)) + kept)
    x = leak(normalise(w, f'{at}.conv6.1', grow(w, f'{at}.conv6.0', x)))
    return convolve(w, f'{at}.conv6.3', x)[0]


def disparities(w: Weights, left, right, right_image: np.ndarray, *, max_disparity: int):
    candidates = range(math.floor(max_disparity / 32) + 1)
    planes = {5: estimate(w, 5, cost_volume(left[4], right[4], candidates), left[4])}
    for level in (4, 3, 2, 1):
        guess = finer(w, level + 1, planes[level + 1])
        moved = warp(right[level - 1], guess)
        costs = cost_volume(left[level - 1], moved, (-2, -1, 0, 1, 2))
        planes[level] = estimate(w, level, costs, left[level - 1]) + guess
    guess = finer(w, 1, planes[1])
    planes[0] = refinement(w, guess, right_image) + guess
    return [planes[level] for level in range(6)]


def segmentation(w: Weights, features) -> np.ndarray:
    x = features[4]
    for step in (1, 2, 3, 4):
        at = f'segmentation_head.decode_{step}'
        x = np.concatenate([features[4 - step], grow(w, f'{at}.up_conv', x)])
        x = leak(normalise(w, f'{at}.d_conv.layer.1', convolve(w, f'{at}.d_conv.layer.0', x)))
        x = leak(normalise(w, f'{at}.d_conv.layer.4', convolve(w, f'{at}.d_conv.layer.3', x)))
    x = grow(w, 'segmentation_head.upsample', x)
    return convolve(w, 'segmentation_head.out_conv', x)


def forward(w: Weights, left: np.ndarray, right: np.ndarray, *, max_disparity: int = 320):
    """Normalised images 3 x H x W -> ([d0 .. d5] of H/2^i x W/2^i, logits n_classes x H x W)."""
    light = 'feature_extractor.encoder_0.encoder.0.weight' in w
    encode = light_features if light else resnet34_features
    left_features, right_features = encode(w, left), encode(w, right)
    found = disparities(w, left_features, right_features, right, max_disparity=max_disparity)
    return found, segmentation(w, left_features)


def normalised(picture: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 RGB -> 3 x H' x W' with the SCARED statistics, padded with 0 after that."""
    values = picture.astype(np.float64) / 255.0
    values = (values - [0.5339, 0.3666, 0.4537]) / [0.2006, 0.1978, 0.2128]
    height, width = picture.shape[:2]
    whole = np.zeros((3, math.ceil(height / 32) * 32, math.ceil(width / 32) * 32))
    whole[:, :height, :width] = values.transpose(2, 0, 1)
    return whole
