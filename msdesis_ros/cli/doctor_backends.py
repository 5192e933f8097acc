"""What the doctor says about models and backends: cards verified, every backend run once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np

from msdesis_ros.cli.findings import Finding, State, ok, one_line
from msdesis_ros.cli.self_test_graph import mean_difference_graph
from msdesis_ros.core.errors import MissingExtraError, MsdesisError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import list_cards, verify_card
from msdesis_ros.runtime.factory import BUILDERS, GRAPH_BACKENDS, create_backend, open_graph
from msdesis_ros.runtime.model_card import SGBM_FAMILY
from msdesis_ros.runtime.onnx_backend import PROVIDERS
from msdesis_ros.runtime.tensorrt_builder import import_tensorrt
from msdesis_ros.runtime.torch_backend import DEVICES, require_device

# The picture of the self-test: two planes, one above the other, at these disparities.
WIDTH, HEIGHT = 320, 160
UPPER_PX, LOWER_PX = 8, 21
TOLERANCE_PX = 0.5
# Of the pixels that both pictures show, away from borders; the matcher leaves some out.
ANSWERED = 0.8
MARGIN_PX = 12
LEFT_GREY, RIGHT_GREY = 40, 10
# What no machine needs: `make demo` installs none of them.
OPTIONAL = ('openvino', 'openvino_bf16', 'torch')
# What only a machine with an NVIDIA GPU can use.
CUDA_BACKENDS = ('onnxruntime_cuda', 'tensorrt', 'torch_cuda')
NVIDIA_DRIVER = '/proc/driver/nvidia/version'


def card_finding() -> Finding:
    """Every card read, every file of theirs hashed."""
    check = 'models'
    try:
        cards = list_cards()
        problems = [problem for card in cards for problem in verify_card(card)]
    except MsdesisError as error:
        return Finding(check, State.FAIL, one_line(error), 'msdesis models verify')
    if problems or not cards:
        sentence = '; '.join(problems) or 'no model card is installed'
        return Finding(check, State.FAIL, sentence, 'msdesis models verify')
    return ok(check, f'every file is what its card says: {", ".join(c.name for c in cards)}')


def backend_findings(tests: Mapping[str, Callable[[], str]] | None = None) -> Iterator[Finding]:
    """Every backend of the product, each run once on something with a known answer."""
    tests = self_tests() if tests is None else tests
    for name in BUILDERS:
        if name in tests:
            yield backend_finding(name, tests[name])
        else:
            yield Finding(f'backend {name}', State.WARN, f'there is no self-test for {name}')


def backend_finding(name: str, test: Callable[[], str]) -> Finding:
    """Run one self-test: it returns its sentence, or raises what is wrong."""
    check = f'backend {name}'
    started = time.monotonic()
    try:
        sentence = test()
    except MissingExtraError as error:
        if name in CUDA_BACKENDS and not has_nvidia_driver():
            return ok(check, 'not available: this machine has no NVIDIA driver (optional)')
        if name in OPTIONAL:
            return ok(check, f'not installed (optional): {one_line(error)}')
        state = State.WARN if name in CUDA_BACKENDS else State.FAIL
        return Finding(check, state, one_line(error), _command_for(name))
    except Exception as error:  # a broken library raises anything
        return Finding(
            check, State.FAIL, f'the self-test failed: {one_line(error)}', _command_for(name)
        )
    return ok(check, sentence, seconds=round(time.monotonic() - started, 3))


def self_tests() -> dict[str, Callable[[], str]]:
    """One test for each backend that has one."""
    tests: dict[str, Callable[[], str]] = {
        'opencv': lambda: check_matcher(create_backend(SGBM_FAMILY))
    }
    for name in GRAPH_BACKENDS:
        tests[name] = lambda name=name: check_graph(open_test_graph(name))
    # An engine for a test graph would take a GPU's time for nothing.
    tests['tensorrt'] = check_tensorrt
    for name in DEVICES:
        tests[name] = lambda name=name: f'PyTorch computes on {require_device(name)}'
    return tests


def check_tensorrt() -> str:
    """Import TensorRT and find a GPU; raises MissingExtraError where one is missing."""
    trt = import_tensorrt()
    return f'{trt.__name__} {trt.__version__} has {require_device("torch_cuda")}'


def check_matcher(backend: Backend) -> str:
    """Match a pair of known disparity; raises MsdesisError where the answer is wrong."""
    left, right, truth_px = known_pair()
    disparity_px = backend.run(left, right).disparity_px
    backend.close()
    if disparity_px is None:
        raise MsdesisError('it gave no disparity')
    asked = np.isfinite(truth_px)
    answered = asked & np.isfinite(disparity_px)
    part = np.count_nonzero(answered) / np.count_nonzero(asked)
    if part < ANSWERED:
        raise MsdesisError(f'it answered {part:.0%} of a pair that it can match everywhere')
    error_px = float(np.percentile(np.abs(disparity_px - truth_px)[answered], 95))
    if error_px > TOLERANCE_PX:
        raise MsdesisError(f'it is off by {error_px:.2f} px; at most {TOLERANCE_PX} px is right')
    return (
        f'{backend.identity.name} finds {UPPER_PX} and {LOWER_PX} px in a pair with these '
        f'disparities: {part:.0%} answered, 95 % of them within {error_px:.2f} px'
    )


def known_pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pair of textured planes: left, right (H x W x 3 uint8) and its disparity.

    The disparity is H x W float32 px; NaN marks pixels nobody is asked about: the edges of the
    planes and what the right picture does not show.
    """
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (HEIGHT, WIDTH + LOWER_PX, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 1.0)
    left = texture[:, :WIDTH].copy()
    right = np.empty_like(left)
    truth_px = np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32)
    half = HEIGHT // 2
    for first, last, disparity in ((0, half, UPPER_PX), (half, HEIGHT, LOWER_PX)):
        right[first:last] = texture[first:last, disparity : disparity + WIDTH]
        rows = slice(first + MARGIN_PX, last - MARGIN_PX)
        truth_px[rows, disparity + MARGIN_PX : WIDTH - MARGIN_PX] = disparity
    return left, right, truth_px


def open_test_graph(name: str) -> Backend:
    """The backend `name` with the network of `self_test_graph`."""
    identity = ModelIdentity(name='self_test', sha256=None, backend=name)
    return open_graph(mean_difference_graph(), identity=identity, max_disparity_px=255.0)


def check_graph(backend: Backend) -> str:
    """Run the small network; raises MsdesisError where its answer is wrong."""
    left, right = (
        np.full((HEIGHT, WIDTH, 3), grey, dtype=np.uint8) for grey in (LEFT_GREY, RIGHT_GREY)
    )
    plane = backend.run(left, right).disparity_px
    backend.close()
    expected = float(LEFT_GREY - RIGHT_GREY)
    if plane is None or not np.allclose(plane, expected, atol=1e-3):
        raise MsdesisError(f'a small network did not give {expected:g} everywhere')
    name = backend.identity.backend
    return f'{PROVIDERS.get(name, name)} runs a small network and its answer is right'


def has_nvidia_driver() -> bool:
    """Whether the kernel has an NVIDIA driver, whatever Python knows of it."""
    return os.path.exists(NVIDIA_DRIVER)


def _command_for(name: str) -> str:
    return {
        'opencv': "pip install --force-reinstall 'opencv-python-headless>=4.5,<6'",
        'onnxruntime_cuda': 'pip uninstall -y onnxruntime && pip install onnxruntime-gpu',
        'openvino': "pip install 'msdesis_ros[openvino]'",
        'openvino_bf16': "pip install 'msdesis_ros[openvino]'",
        'tensorrt': 'pip install tensorrt torch',
        'torch': "pip install 'msdesis_ros[torch]'",
        'torch_cuda': "pip install 'msdesis_ros[torch]'",
    }.get(name, "pip install --force-reinstall 'onnxruntime>=1.16'")
