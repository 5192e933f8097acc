"""A card that is written and read again is the same card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.check_samples import SelfCheck, Tolerance
from msdesis_ros.runtime.model_card import InputRule, ModelCard, Training
from msdesis_ros.runtime.model_file import ModelFile

TEXTS = st.text(st.characters(codec='utf-8'), min_size=1).filter(str.strip)
NUMBERS = st.floats(-1e12, 1e12)


def written(card: ModelCard, folder: Path) -> ModelCard:
    """The card after it went through a file."""
    (folder / f'{card.name}.toml').write_bytes(card_toml(card).encode())
    return load_card(card.name, folder)


def test_the_card_that_ships_stays_what_it_is(tmp_path: Path) -> None:
    card = replace(load_card('opencv_sgbm'), folder=tmp_path)
    assert written(card, tmp_path) == card


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, number=NUMBERS, count=st.integers(0, 3))
def test_any_text_and_number_comes_back(
    tmp_path: Path, text: str, number: float, count: int
) -> None:
    shipped = load_card('opencv_sgbm')
    card = replace(
        shipped,
        summary=text,
        known_failures=(text,) * count,
        measured=(replace(shipped.measured[0], figure=text, value=number),) * count,
        folder=tmp_path,
    )
    assert written(card, tmp_path) == card


def test_files_training_and_self_checks_come_back(tmp_path: Path) -> None:
    tolerances = tuple(Tolerance(name, 0.5, 1e-9, 1.0) for name in ('fp32', 'fp16'))
    checks = tuple(
        SelfCheck(seed, (8, 4), (0, 7), (3, 0), tolerances, disparity_px=(1.5, -2e-7))
        for seed in (1, 2)
    )
    card = replace(
        load_card('opencv_sgbm'),
        family='msdesis',
        heads=frozenset({'instrument_mask', 'disparity'}),
        input=InputRule(
            multiple_of=2,
            sizes=((8, 4), (6, 4)),
            mean=(0.1, 0.2, 0.3),
            std=(1, 1, 1),
            enlarged=((7, 4, 1000), (3, 2, 2000)),
        ),
        outputs=(),
        files=(
            ModelFile('a.onnx', 'onnx', '0' * 64, 3, image_size=(8, 4)),
            ModelFile('b/c.onnx', 'onnx', 'f' * 64, precision='fp16'),
        ),
        training=Training('rendered', seed=0),
        self_check=checks,
        folder=tmp_path,
    )
    assert written(card, tmp_path) == card
