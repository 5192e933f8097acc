"""Fine-tuning without truth: what counts as better, what learns from what, and what stays."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import ModelError, UsageError  # noqa: E402
from msdesis_ros.core.resources import resource  # noqa: E402
from msdesis_ros.data.images import write_image  # noqa: E402
from msdesis_ros.nets.checkpoints import LoadedCheckpoint, load_checkpoint  # noqa: E402
from msdesis_ros.training import fine_tune_files  # noqa: E402
from msdesis_ros.training.batch import collate, sample_of_frame  # noqa: E402
from msdesis_ros.training.comparison import (  # noqa: E402
    MORE_INCONSISTENT,
    MORE_UNLIKE,
    MOST_FORGOTTEN,
    Comparison,
    comparison_of,
)
from msdesis_ros.training.config import TrainConfig, build  # noqa: E402
from msdesis_ros.training.fine_tune_files import (  # noqa: E402
    Beginning,
    keep_beginning,
    kept_beginning,
    network_options,
    require_sizes,
    write_deployment,
)
from msdesis_ros.training.fine_tuning import FineTuning, own_pairs  # noqa: E402
from msdesis_ros.training.judge import _growth  # noqa: E402
from msdesis_ros.training.look import look_of  # noqa: E402
from msdesis_ros.training.loop import Training  # noqa: E402
from msdesis_ros.training.losses import DISPARITY_TERMS, fast_terms  # noqa: E402
from msdesis_ros.training.objectives import network_of  # noqa: E402
from msdesis_ros.training.own_frames_source import (  # noqa: E402
    OwnFrames,
    OwnFramesSource,
    look_at_rows,
    spread,
    unlabelled,
)


@pytest.fixture
def settings(tiny, shards):
    """Makes the configuration of a tiny fine-tuning: (folder of frames, self_supervised, ...)."""

    def make(folder='own', learning=None, **changes) -> TrainConfig:
        content = tiny.tiny_content(shards, **{'task': 'disparity', **changes})
        content['self_supervised'] = {'frames': {'folder': str(folder)}, **(learning or {})}
        return build(TrainConfig, content, where='')

    return make


@pytest.fixture
def own(scenes):
    """Two pairs without truth, 128x96 px."""
    frames = (scenes.boxed_wall(70 + number) for number in range(2))
    return collate([unlabelled(frame.left, frame.right) for frame in frames])


@pytest.fixture
def rehearsed(scenes):
    """One pair with truth."""
    return collate([sample_of_frame(scenes.boxed_wall(80))])


def joined(*batches):
    planes = (torch.cat(planes) for planes in zip(*(batch[:6] for batch in batches), strict=True))
    return type(batches[0])(*planes)


def write_pairs(scenes, folder, count, *, size=(128, 96), lower_px=0):
    for number in range(count):
        frame = scenes.boxed_wall(300 + number, size)
        right = np.roll(frame.right, lower_px, axis=0)
        write_image(folder / 'left' / f'{number:04d}.png', frame.left)
        write_image(folder / 'right' / f'{number:04d}.png', right)
    return folder


BETTER = Comparison(
    unlikeness=0.19,
    unlikeness_before=0.2,
    inconsistent_percent=4.0,
    inconsistent_before_percent=5.0,
    general_epe_px=1.0,
    general_epe_before_px=1.0,
    general_growth=1.0,
    look_epe_px=math.nan,
    look_epe_before_px=math.nan,
    look_growth=math.nan,
    own_pairs=12,
    general_pairs=12,
)


def test_what_is_more_alike_and_forgets_nothing_is_better():
    assert BETTER.reasons == ()
    assert BETTER.score('disparity') == 0.19
    assert comparison_of({**vars(BETTER), 'step': 4, 'score': 0.19}) == BETTER


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'unlikeness': 0.2}, 'no more alike'),
        ({'unlikeness': math.nan}, 'no more alike'),
        ({'unlikeness_before': math.nan}, 'no more alike'),
        ({'inconsistent_percent': 5.01 + MORE_INCONSISTENT}, 'the eyes disagree more'),
        ({'general_growth': 1.01 + MOST_FORGOTTEN}, 'grew by 6.0 %'),
    ],
)
def test_each_limit_is_a_reason_of_its_own(change, reason):
    (found,) = replace(BETTER, **change).reasons
    assert reason in found
    assert replace(BETTER, **change).score('disparity') is None


IN_LOOK = replace(
    # A few hard pairs became worse, and do not decide for all.
    BETTER,
    look_epe_px=1.6,
    look_epe_before_px=1.5,
    look_growth=0.8,
    unlikeness=0.2,
)


def test_the_error_in_the_look_of_own_pairs_decides_where_it_is_known():
    assert IN_LOOK.reasons == ()
    assert IN_LOOK.score('disparity') == 0.8


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'look_growth': 1.0}, 'in the look of own pairs is no less'),
        ({'look_growth': math.nan}, 'in the look of own pairs is no less'),
        ({'unlikeness': 0.2 * (1.01 + MORE_UNLIKE)}, 'the views are less alike'),
        ({'unlikeness': math.nan}, 'the views are less alike'),
        ({'general_growth': 1.01 + MOST_FORGOTTEN}, 'grew by 6.0 %'),
    ],
)
def test_each_limit_is_a_reason_beside_the_error_in_the_look(change, reason):
    (found,) = replace(IN_LOOK, **change).reasons
    assert reason in found
    assert replace(IN_LOOK, **change).score('disparity') is None


@pytest.mark.parametrize(
    'change',
    [
        {'unlikeness': 0.1999},
        {'inconsistent_percent': 4.99 + MORE_INCONSISTENT},
        {'general_growth': 0.99 + MOST_FORGOTTEN},
        {'general_growth': math.nan},
    ],
)
def test_up_to_the_limits_nothing_is_said_against_it(change):
    assert replace(BETTER, **change).reasons == ()


def test_what_was_forgotten_is_a_share_of_what_was_known():
    assert replace(BETTER, general_growth=1.5).forgotten == pytest.approx(0.5)
    assert math.isnan(replace(BETTER, general_growth=math.nan).forgotten)


def test_every_pair_with_truth_counts_alike():
    # One hard pair, whose error outweighs that of all others, became a tenth worse.
    assert _growth((8.0, 0.5, 0.5), (8.8, 0.5, 0.5)) == pytest.approx(1.1 ** (1 / 3))
    assert _growth((1.0, 1.0), (2.0, 0.5)) == pytest.approx(1.0)
    assert _growth((0.0, 1.0), (0.005, 1.0)) == pytest.approx(1.0)
    assert math.isnan(_growth((), ()))


def test_own_pairs_are_those_of_which_nothing_is_known(own, rehearsed):
    assert own_pairs(own).tolist() == [True, True]
    assert own_pairs(rehearsed).tolist() == [False]
    assert own_pairs(joined(rehearsed, own)).tolist() == [False, True, True]
    # A mask alone is a truth; so is one pixel of disparity.
    masked = own._replace(mask=torch.stack((rehearsed.mask[0], own.mask[1])))
    assert own_pairs(masked).tolist() == [False, True]
    one_pixel = own.disparity_px.clone()
    one_pixel[1, 0, 5, 5] = 3.0
    assert own_pairs(own._replace(disparity_px=one_pixel)).tolist() == [True, False]


def shaken(network, *, by):
    """The same network, its weights changed at random."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(by * torch.randn(weights.shape, generator=random))
    return network


def made(settings, **changes):
    """A fine-tuning, and a network that differs a little from its initial one."""
    config = settings(**changes)
    network = network_of(config).eval()
    tuning = FineTuning(config, network)
    return tuning, shaken(network, by=0.02)


def terms_of(tuning, network, batch):
    shown = tuning.shown(batch)
    return tuning.terms(network((shown.left.float() - 128) / 50, shown.right.float() / 50), shown)


OF_OWN = ('photometric', 'smooth', 'consistency', 'steps', 'anchor', 'scale')


def test_each_kind_of_pairs_has_its_own_terms(settings, own, rehearsed):
    tuning, network = made(settings)
    with torch.no_grad():
        alone, known = (terms_of(tuning, network, batch) for batch in (own, rehearsed))
        mixed = terms_of(tuning, network, joined(rehearsed, own))
    assert set(alone) == set(known) == set(mixed) == {*OF_OWN, 'rehearsal'}
    assert all(float(alone[name]) > 0 for name in OF_OWN) and alone['rehearsal'] == 0
    assert all(float(known[name]) == 0 for name in OF_OWN) and float(known['rehearsal']) > 0
    for name in OF_OWN:
        assert float(mixed[name]) == pytest.approx(float(alone[name]), rel=1e-3), name
    assert float(mixed['rehearsal']) == pytest.approx(float(known['rehearsal']), rel=1e-3)


def test_the_mask_is_neither_run_nor_taught(settings, own, rehearsed, monkeypatch):
    tuning, network = made(settings)
    learning = {name for name, weights in network.named_parameters() if weights.requires_grad}
    masks = {name for name, _ in network.named_parameters() if name.startswith('mask_head.')}
    assert masks and learning == {name for name, _ in network.named_parameters()} - masks
    # The teacher is a copy of the network, and would run its class as well.
    monkeypatch.setattr(type(network.mask_head), 'forward', None)
    found = terms_of(tuning, network, joined(rehearsed, own))
    sum(found.values()).backward()
    assert all(weights.grad is not None for weights in network.encoder.parameters())
    output = network((rehearsed.left.float() - 128) / 50, rehearsed.right.float() / 50)
    assert tuning.answer(output) == (output.disparity_px, None)
    terms = fast_terms(output, rehearsed, max_disparity=64, occluded_weight=1.0)
    loss = settings().fast_loss
    wanted = 0.5 * sum(getattr(loss, name) * terms[name].item() for name in DISPARITY_TERMS)
    assert float(found['rehearsal'].detach()) == pytest.approx(wanted, rel=1e-3)


def test_the_initial_network_is_as_good_as_itself_and_another_is_not(settings, own, rehearsed):
    config = settings()
    network = shaken(network_of(config).eval(), by=0.1)
    tuning = FineTuning(config, network)
    one, other = (type(own)(*(plane[n : n + 1] for plane in own[:6])) for n in (0, 1))
    judge = tuning.judge()
    same = judge.compare(network, [one, rehearsed, other])
    for figure in ('unlikeness', 'inconsistent', 'general_epe'):
        now, before = (name for name in vars(same) if name.startswith(figure))
        assert getattr(same, now) == getattr(same, before) > 0, figure
    assert (same.own_pairs, same.general_pairs) == (2, 1)
    assert same.reasons == ('the views are no more alike',)
    found = judge.compare(shaken(copy.deepcopy(network), by=0.05), [one, rehearsed, other])
    assert found.unlikeness_before == same.unlikeness and found.unlikeness != same.unlikeness
    assert found.general_epe_before_px == same.general_epe_px != found.general_epe_px
    assert same.general_growth == 1.0
    grown = found.general_epe_px / same.general_epe_px  # of the one pair with truth
    assert found.general_growth == pytest.approx(grown)
    assert math.isnan(found.look_epe_px)
    none_known = tuning.judge().compare(network, [one])
    assert math.isnan(none_known.general_epe_px) and none_known.general_pairs == 0
    assert math.isnan(none_known.forgotten)


def test_a_look_is_put_on_pairs_with_truth_and_both_networks_see_the_same(
    settings, own, rehearsed
):
    config = settings()
    network = shaken(network_of(config).eval(), by=0.1)
    tuning = FineTuning(config, network)
    pairs = [
        unlabelled(*views)
        for views in zip(as_pictures(own.left), as_pictures(own.right), strict=True)
    ]
    known = unlabelled(as_pictures(rehearsed.left)[0], as_pictures(rehearsed.right)[0])
    look = look_of(pairs, [known])
    darker = replace(look, noise=np.full((2, 3), 60.0))
    judge = tuning.judge(look=darker)
    same = judge.compare(network, [rehearsed])
    assert same.look_epe_px == same.look_epe_before_px != same.general_epe_px
    assert same.general_epe_px == tuning.judge().compare(network, [rehearsed]).general_epe_px
    other = judge.compare(shaken(copy.deepcopy(network), by=0.05), [rehearsed])
    assert other.look_epe_before_px == same.look_epe_px != other.look_epe_px
    assert same.look_growth == 1.0
    assert other.look_growth == pytest.approx(other.look_epe_px / same.look_epe_px)


def test_what_is_tried_instead_lies_between_the_initial_network_and_the_last(settings, own):
    config = settings()
    initial = shaken(network_of(config).eval(), by=0.1)
    tuning, last = FineTuning(config, initial), shaken(copy.deepcopy(initial), by=0.05)
    tried = dict(tuning.alternatives(last))
    assert sorted(tried) == [0.25, 0.5, 0.75]
    begin, end = initial.state_dict(), last.state_dict()
    for part, network in tried.items():
        assert not network.training
        for name, plane in network.state_dict().items():
            if plane.is_floating_point():
                wanted = begin[name] + part * (end[name] - begin[name])
                torch.testing.assert_close(plane, wanted, rtol=1e-5, atol=1e-6)
            else:
                assert torch.equal(plane, end[name])


def as_pictures(views):
    return [view.permute(1, 2, 0).contiguous().numpy() for view in views]


@pytest.fixture(scope='module')
def folder(scenes, tmp_path_factory):
    """Eight own pairs. Not to be changed."""
    return write_pairs(scenes, tmp_path_factory.mktemp('own') / 'frames', 8)


def changed_by_two_steps(config, out):
    """Names of what two steps change: initial network against the result."""
    initial = network_of(config).state_dict()
    training = Training(config, out)
    training.run()
    result = training.network.state_dict()
    assert training.step == 2
    return {name for name, value in initial.items() if not torch.equal(value, result[name])}


STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@pytest.mark.parametrize('learn_statistics', [False, True])
@pytest.mark.parametrize('frozen', [['encoder.'], []])
def test_frozen_weights_and_statistics_stay_to_the_bit(
    settings, folder, tmp_path, frozen, learn_statistics
):
    config = settings(
        folder,
        {'frozen': frozen, 'learn_statistics': learn_statistics, 'rehearsal_share': 0.5},
        optimiser__schedule__steps=2,
        optimiser__schedule__warmup=0,
        optimiser__batch_size=4,
    )
    changed = changed_by_two_steps(config, tmp_path)
    learned = {name for name in changed if not name.endswith(STATISTICS)}
    assert any(name.startswith('matcher.') for name in learned)
    assert any(name.startswith('encoder.') for name in learned) == (not frozen)
    assert not any(name.startswith('mask_head.') for name in changed)
    assert bool(changed - learned) == learn_statistics


@pytest.mark.parametrize('name', ['one_eye', 'erase', 'misalignment_px'])
def test_augmentations_of_one_view_alone_are_refused(settings, name):
    config = settings(**{f'augment__{name}': 0.1})
    with pytest.raises(UsageError, match=rf'augment\.{name} is 0\.1'):
        FineTuning(config, network_of(config))


@pytest.mark.parametrize(
    'frozen', [[''], ['encoder.', 'matcher.', 'carry', 'first', 'second', 'upsample', 'scale']]
)
def test_freezing_everything_that_could_learn_is_refused(settings, frozen):
    config = settings(learning={'frozen': frozen})
    with pytest.raises(UsageError, match='leaves nothing to learn'):
        FineTuning(config, network_of(config))


@pytest.mark.parametrize('task', ['multitask', 'segmentation'])
def test_only_disparity_is_taught(settings, task):
    config = settings(task=task)
    with pytest.raises(UsageError, match=f'the task disparity .*, not {task} of msdesis_fast'):
        FineTuning(config, network_of(config))
    with pytest.raises(UsageError, match=f'the mode of the network is {task}'):
        FineTuning(settings(), network_of(config))


def test_settings_of_the_masks_encoder_are_refused(settings):
    config = settings(mask_encoder={'frozen_stages': 2})
    with pytest.raises(UsageError, match='mask_encoder is set'):
        FineTuning(config, network_of(config))


@given(st.integers(1, 300), st.data())
def test_the_first_held_out_pairs_are_spread_over_all(count, data):
    order = spread(count)
    assert sorted(order) == list(range(count))
    taken = sorted(order[: data.draw(st.integers(1, count))])
    gaps = np.diff([*taken, count])
    assert taken[0] == 0 and max(gaps) <= 2 * math.ceil(count / len(taken))


def test_held_out_are_the_last_pairs_in_that_order(scenes, folder):
    source = OwnFramesSource(OwnFrames(str(folder), held_out=0.5), 'held_out')
    assert len(source) == 4
    for number, wanted in enumerate((4, 6, 5, 7)):
        left = source.sample(number).left
        assert np.array_equal(left, scenes.boxed_wall(300 + wanted).left)
    train = OwnFramesSource(OwnFrames(str(folder), held_out=0.5), 'train')
    assert np.array_equal(train.sample(3).left, scenes.boxed_wall(303).left)


@pytest.mark.parametrize('lower_px', [0, 5])
def test_rows_that_do_not_agree_are_told(scenes, tmp_path, lower_px):
    write_pairs(scenes, tmp_path, 4, size=(320, 224), lower_px=lower_px)
    said = []
    look_at_rows(OwnFramesSource(OwnFrames(str(tmp_path)), 'train'), said.append)
    if lower_px:
        assert len(said) == 1 and '5.0 px apart in height' in said[0]
    else:
        assert said == []


def loaded(settings, mode):
    return LoadedCheckpoint(network_of(settings(task=mode)), 'f' * 64)


def test_weights_without_disparity_are_no_beginning(settings):
    with pytest.raises(UsageError, match=r'masks answers instrument_mask alone'):
        Beginning(loaded(settings, 'segmentation'), 'masks')


@pytest.mark.parametrize('mode', ['multitask', 'disparity'])
def test_a_beginning_is_kept_with_its_mode_licence_and_known_failures(settings, tmp_path, mode):
    begun = Beginning(loaded(settings, mode), 'ours', 'Apache-2.0', ('smoke', 'glare'))
    keep_beginning(begun, tmp_path)
    kept = kept_beginning(tmp_path)
    assert (kept.name, kept.mode, kept.licence) == ('ours', mode, 'Apache-2.0')
    assert kept.known_failures == ('smoke', 'glare')
    assert kept.weights_sha256 == 'f' * 64 != kept.loaded.sha256
    # Whatever it answers, disparity is what its network learns.
    options = network_options(kept.loaded.network)
    assert network_of(settings(network=options)).config.mode == 'disparity'


@pytest.mark.parametrize('mode', [None, 'segmentation'])
def test_a_beginning_that_does_not_say_a_mode_of_disparity_is_refused(settings, tmp_path, mode):
    from safetensors.torch import save_file

    begun = Beginning(loaded(settings, 'disparity'), 'ours')
    path = keep_beginning(begun, tmp_path)
    told = dict(load_checkpoint(path).metadata)
    told.pop('began_with_mode')
    told |= {'began_with_mode': mode} if mode else {}
    save_file(begun.loaded.network.state_dict(), path, told)
    with pytest.raises(ModelError, match='does not say what its weights are'):
        kept_beginning(tmp_path)


class EnoughError(Exception):
    pass


@pytest.mark.parametrize('mode', ['multitask', 'disparity'])
def test_what_deploys_answers_what_the_beginning_did_with_its_mask(
    settings, tmp_path, monkeypatch, mode
):
    def export_sizes(network, *_, **__):
        raise EnoughError(network)

    monkeypatch.setattr(fine_tune_files, 'export_sizes', export_sizes)
    begun, config = Beginning(loaded(settings, mode), 'ours'), settings()
    learned = network_of(config)
    with torch.no_grad():
        learned.scale.bias += 1
    with pytest.raises(EnoughError) as found:
        write_deployment(
            learned,
            config,
            BETTER,
            tmp_path,
            beginning=begun,
            image_sizes=[(128, 96)],
            data='own frames',
            held_out=12,
            command=['msdesis'],
            commit=None,
        )
    (exported,) = found.value.args
    assert exported.config.mode == mode and not exported.training
    before, after = begun.loaded.network.state_dict(), exported.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        'scale.bias'
    }


def test_sizes_that_no_export_takes_are_refused():
    require_sizes([(640, 512), (1280, 1024)])
    with pytest.raises(UsageError, match='640x512 is given twice'):
        require_sizes([(640, 512), (64, 64), (640, 512)])
    with pytest.raises(UsageError, match='cannot export for 64x8193'):
        require_sizes([(64, 8193)])


def test_no_step_of_the_shipped_settings_has_more_pixels_than_the_first_crop_allows():
    content = json.loads(resource('config', 'train', 'finetune.json').read_text())
    areas = [width * height for width, height in content['data']['crops']]
    assert areas[0] == max(areas) and len(areas) > 1
