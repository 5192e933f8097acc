"""The model card of exported files, so that what was exported can be run as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.data.images import atomic_write
from msdesis_ros.export.onnx_export import ANY_SIZES, ExportReport, Origin
from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.check_samples import SelfCheck, Tolerance
from msdesis_ros.runtime.factory import open_card_file
from msdesis_ros.runtime.model_card import InputRule, ModelCard, OutputPlane, Training
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.self_check import make_self_check
from msdesis_ros.runtime.torch_backend import TorchBackend

if TYPE_CHECKING:
    from torch import nn

NOT_STATED = 'not stated'
# How far 95 % of an engine's samples may be from those of PyTorch in float32, to tell a rounding
# error from a wrong engine. float32: what an export may differ by at any pixel.
# tf32 and float16 keep 11 bits: five times what a float16 export may differ by on average.
# bfloat16 keeps 8 bits, which is for a person to accept: it gets no tolerance here. int8: three
# times what the shipped weights differ by, in an export that a person asked for.
SELF_CHECK_TOLERANCES = tuple(
    Tolerance(precision, disparity_px=most, mask_logits=most, uncertainty_px=most)
    for precision, most in (('fp32', 0.01), ('tf32', 0.25), ('fp16', 0.25), ('int8', 1.0))
)
OUTPUTS = {
    'disparity': OutputPlane(
        'disparity', '[1, 1, H, W]', 'px', 'left x minus right x of the left picture, float32'
    ),
    'instrument_mask': OutputPlane(
        'mask_logits', '[1, 1, H, W]', 'logits', 'above 0 where there is an instrument, float32'
    ),
    'uncertainty': OutputPlane(
        'log_scale',
        '[1, 1, H, W]',
        'log px',
        'logarithm of the scale b of a Laplace distribution; 1 sigma is sqrt(2) b, float32',
    ),
}
OTHER_SIZE = (
    'looks at small pictures at another size than the model that this list was written for: what '
    'it says of sizes does not hold, and no figure was measured'
)
HEADER = (
    "# Written by msdesis export. Complete what is 'not stated'; add the figures you measured.\n\n"
)


def card_of_export(
    network: nn.Module,
    reports: Sequence[ExportReport],
    *,
    name: str,
    origin: Origin,
    source: ModelCard | None = None,
    weights: ModelFile | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> ModelCard:
    """Make the card of exported files (one or more, in one folder), self-checks included.

    `source`: the card that the weights came from. Where the files lie below its folder and answer
    the same heads at the same size, the result is that card with its new files; otherwise it is a
    card `name` for the folder of the files. `weights`: those of `network`, as a file in that
    folder, for such a card. The samples are answers of `network` in PyTorch (float32, nothing
    folded), and every file has given them in ONNX Runtime when this returns: BackendError where
    one does not, ModelError where the source card contradicts the files.
    """
    merged = source is not None and _is_part_of(source, network, reports)
    card = source if merged and source is not None else _new_card(network, reports, name, origin)
    if source is not None and not merged:
        same = weights is not None and all(report.precision == 'fp32' for report in reports)
        card = _described_as(card, source, as_measured=same)
    card = _with_files(card, reports, weights)
    checks = tuple(_tolerating(check, reports) for check in card.self_check)
    card = replace(card, self_check=checks)
    reference = TorchBackend(
        network,
        identity=ModelIdentity(name=card.name, sha256=origin.weights_sha256, backend='torch'),
        max_disparity_px=card.max_disparity_px,
        plain=True,
        mean=origin.mean,
        std=origin.std,
    )
    for size in sorted({report.image_size or ANY_SIZES[0] for report in reports}):
        # Samples that the card has already are of the same weights, and its files must give them.
        if not any(check.image_size == size for check in card.self_check):
            progress(f'sampling answers for {size[0]}x{size[1]}')
            card = replace(card, self_check=(*card.self_check, _samples(reference, size)))
    reference.close()
    exported = {report.sha256 for report in reports}
    for file in card.files:
        if file.sha256 in exported:
            progress(f'checking {file.path}')
            open_card_file(card, file, backend='onnxruntime').close()
    return card


def write_card(card: ModelCard) -> Path:
    """Write `<name>.toml` into the folder of the card; its path.

    A card that is there already may hold what somebody wrote by hand: it is kept, and the new one
    goes beside it as `<name>.toml.new`, unless both are the same.
    """
    path = card.folder / f'{card.name}.toml'
    text = HEADER + card_toml(card)
    if path.exists():
        if path.read_text(encoding='utf-8', errors='replace') == text:
            return path
        path = path.with_name(f'{path.name}.new')
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
    return path


def _is_part_of(source: ModelCard, network: nn.Module, reports: Sequence[ExportReport]) -> bool:
    folder = source.folder.resolve()
    below = all(report.path.resolve().is_relative_to(folder) for report in reports)
    same_input = source.input.enlarged == _enlarged(network)
    return below and same_input and network.config.heads == source.heads


def _enlarged(network: nn.Module) -> tuple[tuple[int, int, int], ...]:
    from msdesis_ros.nets.registry import family_of

    return family_of(network).enlarged(network.config)


def _new_card(
    network: nn.Module, reports: Sequence[ExportReport], name: str, origin: Origin
) -> ModelCard:
    """All that an export knows of its own; the rest says that it is not stated."""
    from msdesis_ros.nets.registry import family_of

    config, family = network.config, family_of(network)
    # Its first option says how large it is: the encoder, or the size.
    kind = getattr(config, fields(config)[0].name)
    return ModelCard(
        name=name,
        family=family.name,
        summary=f'{kind} network of the family {family.name}, exported from {origin.name}',
        heads=config.heads,
        licence=NOT_STATED,
        min_disparity_px=0.0,
        max_disparity_px=float(config.max_disparity),
        intended_use=NOT_STATED,
        known_failures=(NOT_STATED,),
        input=InputRule(
            mean=origin.mean,
            std=origin.std,
            enlarged=_enlarged(network),
        ),
        outputs=tuple(plane for head, plane in OUTPUTS.items() if head in config.heads),
        measured=(),
        # Stands in until the files are listed: a card with weights needs one.
        files=_files(reports, reports[0].path.parent),
        training=Training(data=NOT_STATED, commit=origin.training_commit),
        folder=reports[0].path.parent,
    )


def _described_as(card: ModelCard, source: ModelCard, *, as_measured: bool) -> ModelCard:
    """With what was said of the weights; figures were measured on files, which others are not, in
    their precision, and at the size at which the source looks at pictures.
    """
    failures = source.known_failures
    if card.input.enlarged != source.input.enlarged:
        as_measured = False
        failures = (*failures, OTHER_SIZE)
    return replace(
        card,
        summary=source.summary,
        licence=source.licence,
        intended_use=source.intended_use,
        known_failures=failures,
        training=source.training,
        min_disparity_px=source.min_disparity_px,
        max_disparity_px=source.max_disparity_px,
        measured=source.measured if as_measured else (),
    )


def _with_files(
    card: ModelCard, reports: Sequence[ExportReport], weights: ModelFile | None
) -> ModelCard:
    new = (*((weights,) if weights else ()), *_files(reports, card.folder))
    paths = {file.path for file in new}
    made_for = {(file.precision, file.image_size) for file in new if file.format == 'onnx'}
    kept = [
        file
        for file in card.files
        if file.path not in paths
        and (file.format != 'onnx' or (file.precision, file.image_size) not in made_for)
    ]
    files = (*kept, *new)
    # Where only exported files are left, they decide which sizes there are.
    sizes = [file.image_size for file in files]
    rule = card.input
    if not any(size is None for size in sizes):
        rule = replace(rule, sizes=tuple(size for size in dict.fromkeys(sizes) if size))
    return replace(card, files=files, input=rule)


def _files(reports: Sequence[ExportReport], folder: Path) -> tuple[ModelFile, ...]:
    return tuple(
        ModelFile(
            path=report.path.resolve().relative_to(folder.resolve()).as_posix(),
            format='onnx',
            sha256=report.sha256,
            size_bytes=report.size_bytes,
            precision=report.precision,
            image_size=report.image_size,
        )
        for report in reports
    )


def _tolerating(check: SelfCheck, reports: Sequence[ExportReport]) -> SelfCheck:
    """With a tolerance for each precision that was exported, as far as it had none."""
    had = {tolerance.precision for tolerance in check.tolerances}
    wanted = {report.precision for report in reports} - had
    more = tuple(each for each in SELF_CHECK_TOLERANCES if each.precision in wanted)
    return replace(check, tolerances=(*check.tolerances, *more))


def _samples(reference: TorchBackend, image_size: tuple[int, int]) -> SelfCheck:
    return make_self_check(reference, image_size=image_size, tolerances=SELF_CHECK_TOLERANCES)
