from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from msdesis_ros.cli import doctor, doctor_backends, doctor_checks, doctor_ros, doctor_transport
from msdesis_ros.cli.findings import Finding, State, ok, worst
from msdesis_ros.cli.self_test_graph import mean_difference_graph
from msdesis_ros.core.errors import FileFormatError, MissingExtraError, ModelError, MsdesisError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.ros import transport_probe
from msdesis_ros.ros.installation import RosImports, RosInstallation
from msdesis_ros.ros.peers import Peer
from msdesis_ros.ros.transport import PROFILE_VARIABLES, TransportReport
from msdesis_ros.ros.transport_probe import TransportProbe
from msdesis_ros.runtime.backend import RawOutput

MIB = 2**20
RCLPY = Path('/opt/ros/jazzy/lib/python3/rclpy')


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def settings(**changes: object) -> TransportReport:
    values = {
        'malloc_active': True,
        'profile_path': Path(__file__),
        'profile_is_users': False,
        'shm_total_bytes': 1024 * MIB,
        'shm_free_bytes': 1000 * MIB,
        'stale_bytes': 0,
        'warnings': (),
    }
    return TransportReport(**values | changes)


def probe(**changes: object) -> TransportProbe:
    values = {
        'sent': 66,
        'received': 66,
        'rate_hz': 22.0,
        'p50_ms': 3.5,
        'p95_ms': 5.0,
        'matched': True,
        'rmw': 'rmw_fastrtps_cpp',
    }
    return TransportProbe(**values | changes)


def installation(**changes: object) -> RosInstallation:
    values = {
        'rclpy_path': RCLPY,
        'source': 'distribution',
        'distribution': 'jazzy',
        'installed': ('jazzy',),
    }
    return RosInstallation(**values | changes)


def by_check(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


# What is installed.


def test_every_requirement_of_the_package_is_looked_at(project_root):
    text = (project_root / 'setup.py').read_text()
    listed = re.search(r'^REQUIREMENTS = \[(.*?)^\]', text, re.MULTILINE | re.DOTALL)[1]
    asked = {line for line in re.findall(r"'([^']+)'", listed) if 'python_version' not in line}
    assert set(doctor_checks.REQUIREMENTS.values()) == asked


def test_what_is_installed_here_is_fine():
    findings = list(doctor_checks.requirement_findings())
    assert [finding.sentence for finding in findings if finding.state is not State.OK] == []
    assert f'numpy {np.__version__}' in [finding.sentence for finding in findings]


def test_a_package_that_is_missing_fails_with_the_command_that_adds_it():
    (finding,) = doctor_checks.requirement_findings({'not_a_module': 'not-a-package>=2'})
    assert finding.state is State.FAIL
    assert "'not-a-package>=2'" in finding.fix


@pytest.mark.parametrize(
    ('version', 'fits'),
    [
        ('1.26', True),
        ('1.26.0', True),
        ('1.25.9', False),
        ('2.10.1rc1', True),
        ('3.0.0', False),
        ('3', False),
        ('10.1', False),
    ],
)
def test_versions_are_compared_as_numbers(version, fits):
    assert doctor_checks.satisfies(version, 'numpy>=1.26,<3') is fits


def test_a_package_of_a_wrong_version_fails():
    (finding,) = doctor_checks.requirement_findings({'numpy': 'numpy>=99'})
    assert finding.state is State.FAIL
    assert np.__version__ in finding.sentence


def test_missing_shared_files_fail(monkeypatch):
    def nowhere():
        raise FileFormatError('the shared files are missing')

    monkeypatch.setattr(doctor_checks, 'share_dir', nowhere)
    assert doctor_checks.package_finding().state is State.FAIL


def test_every_extra_that_is_named_exists(project_root):
    setup = (project_root / 'setup.py').read_text()
    extras = re.search(r'^EXTRAS = \{(.*?)\}', setup, re.MULTILINE | re.DOTALL)[1]
    named = []
    for module in (doctor_checks, doctor_ros):
        source = Path(module.__file__).read_text()
        named += re.findall(r"install_command\('(\w+)'", source)
    assert set(named) == {'ros', 'torch'}
    assert set(named) <= set(re.findall(r"'(\w+)':", extras))


@pytest.mark.parametrize(
    ('is_checkout', 'command'),
    [
        (True, "pip install '.[ros]'   # in the checkout"),
        (False, "pip install 'msdesis_ros[ros]'"),
    ],
)
def test_an_extra_is_installed_from_where_the_package_is(
    monkeypatch, tmp_path, is_checkout, command
):
    if is_checkout:
        (tmp_path / 'setup.py').touch()
    monkeypatch.setattr(doctor_checks, 'share_dir', lambda: tmp_path)
    assert doctor_checks.install_command('ros') == command


@pytest.mark.parametrize('there', [True, False])
def test_torch_is_optional_and_its_extra_is_named(monkeypatch, there):
    monkeypatch.setattr(doctor_checks.importlib.util, 'find_spec', lambda _: there or None)
    finding = doctor_checks.torch_finding()
    assert finding.state is State.OK
    assert ('[torch]' in finding.sentence) is not there


# ROS.


def test_without_rclpy_there_is_a_warning_and_the_command_that_adds_it():
    absent = installation(rclpy_path=None, source='none', distribution='', installed=())
    (finding,) = doctor_ros.ros_findings(absent, None)
    assert finding.state is State.WARN
    assert finding.fix


def test_without_rclpy_a_distribution_that_is_there_is_named():
    absent = installation(rclpy_path=None, source='none', distribution='')
    (finding,) = doctor_ros.ros_findings(absent, None)
    assert finding.fix == 'source /opt/ros/jazzy/setup.bash'


@pytest.mark.parametrize(
    ('version', 'machine', 'wheels'),
    [
        ((3, 12), 'x86_64', True),
        ((3, 10), 'x86_64', False),
        ((3, 14), 'x86_64', False),
        ((3, 12), 'aarch64', False),
    ],
)
def test_the_wheels_are_offered_only_where_they_exist(monkeypatch, version, machine, wheels):
    monkeypatch.setattr(doctor_ros.sys, 'version_info', (*version, 0, 'final', 0))
    monkeypatch.setattr(doctor_ros.platform, 'machine', lambda: machine)
    absent = installation(rclpy_path=None, source='none', distribution='', installed=())
    (finding,) = doctor_ros.ros_findings(absent, None)
    assert ('pip install' in finding.fix) is wheels


def test_an_rclpy_that_cannot_be_imported_fails_with_its_error():
    imports = RosImports(failed={'rclpy': 'ImportError: librcl.so is missing'}, rmw=None)
    (finding,) = doctor_ros.ros_findings(installation(source='wheels', distribution=''), imports)
    assert finding.state is State.FAIL
    assert 'librcl.so' in finding.sentence
    assert 'pip install --force-reinstall' in finding.fix


def test_a_missing_message_package_fails_with_the_distributions_name_of_it():
    imports = RosImports(failed={'stereo_msgs': 'ModuleNotFoundError'}, rmw='rmw_fastrtps_cpp')
    finding = by_check(doctor_ros.ros_findings(installation(), imports))['messages']
    assert finding.state is State.FAIL
    assert finding.fix == 'sudo apt install ros-jazzy-stereo-msgs'


def test_wheels_in_a_shell_with_a_distribution_are_a_warning():
    imports = RosImports(failed={}, rmw='rmw_fastrtps_cpp')
    mixed = by_check(doctor_ros.ros_findings(installation(source='wheels'), imports))
    assert mixed['rclpy'].state is State.WARN
    alone = installation(source='wheels', distribution='')
    assert by_check(doctor_ros.ros_findings(alone, imports))['rclpy'].state is State.OK


# Settings of the transport.


@pytest.mark.parametrize(
    ('total_mib', 'free_mib', 'state', 'fix'),
    [
        (1024, 1000, State.OK, ''),
        (64, 64, State.FAIL, '--shm-size=1g'),
        (300, 300, State.WARN, '--shm-size=1g'),
        (4096, 100, State.FAIL, 'ls -lhS /dev/shm'),
        (None, None, State.FAIL, 'mount'),
    ],
)
def test_a_small_shared_memory_is_found_with_the_cure(total_mib, free_mib, state, fix):
    total, free = (None if mib is None else mib * MIB for mib in (total_mib, free_mib))
    report = settings(shm_total_bytes=total, shm_free_bytes=free)
    finding = doctor_transport.shared_memory_finding(report)
    assert finding.state is state
    assert fix in finding.fix
    assert bool(finding.fix) == bool(fix)


def test_shared_memory_that_was_freed_is_told():
    finding = doctor_transport.shared_memory_finding(settings(stale_bytes=270 * MIB))
    assert finding.state is State.OK
    assert '270 MiB' in finding.sentence


def test_a_user_with_own_transports_is_only_warned_of_a_small_shared_memory():
    report = settings(profile_is_users=True, shm_total_bytes=64 * MIB, shm_free_bytes=64 * MIB)
    assert doctor_transport.shared_memory_finding(report).state is State.WARN


def test_a_profile_of_the_user_is_named_as_kept():
    finding = doctor_transport.profile_finding(settings(profile_is_users=True), {})
    assert finding.state is State.OK
    assert 'your own' in finding.sentence


def test_a_profile_that_does_not_exist_fails():
    report = settings(profile_path=Path('/nowhere/own.xml'), profile_is_users=True)
    finding = doctor_transport.profile_finding(report, {})
    assert finding.state is State.FAIL
    assert finding.fix == f'unset {" ".join(PROFILE_VARIABLES)}'


def test_with_another_middleware_the_profile_is_said_to_have_no_effect():
    environment = {'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'}
    assert 'no effect' in doctor_transport.profile_finding(settings(), environment).sentence
    environment = {'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp'}
    assert 'no effect' not in doctor_transport.profile_finding(settings(), environment).sentence


def test_a_library_without_allocator_settings_is_a_warning():
    found = by_check(doctor_transport.settings_findings(settings(malloc_active=False), {}))
    assert found['allocator'].state is State.WARN


def test_allocator_settings_of_the_user_are_named():
    environment = {'MALLOC_TOP_PAD_': '1'}
    found = by_check(doctor_transport.settings_findings(settings(), environment))
    assert 'MALLOC_TOP_PAD_' in found['allocator'].sentence


@pytest.mark.parametrize(
    ('domain', 'state'),
    [
        ('', State.OK),
        ('0', State.OK),
        ('101', State.OK),
        ('102', State.WARN),
        ('233', State.FAIL),
        ('-1', State.FAIL),
        ('seven', State.FAIL),
    ],
)
def test_a_domain_is_judged_by_its_ports(domain, state):
    found = by_check(doctor_transport.discovery_findings({'ROS_DOMAIN_ID': domain}))
    assert found['ROS_DOMAIN_ID'].state is state


@pytest.mark.parametrize(
    ('value', 'state'),
    [('LOCALHOST', State.OK), ('SUBNET', State.OK), ('OFF', State.WARN), ('HOME', State.WARN)],
)
def test_a_discovery_range_that_finds_nobody_is_a_warning(value, state):
    environment = {'ROS_AUTOMATIC_DISCOVERY_RANGE': value}
    assert by_check(doctor_transport.discovery_findings(environment))['discovery'].state is state


def test_a_process_without_the_settings_is_named_with_what_it_needs():
    camera = Peer(pid=17, command='camera_driver', segment_bytes=549408)
    node = Peer(pid=18, command='stereo_endoscope', segment_bytes=140509728)
    finding = doctor_transport.peers_finding([camera, node])
    assert finding.state is State.WARN
    assert 'camera_driver (process 17)' in finding.sentence
    assert 'stereo_endoscope' not in finding.sentence
    assert all(name in finding.fix for name in (*PROFILE_VARIABLES, 'MALLOC_TOP_PAD_'))
    assert doctor_transport.peers_finding([node]).state is State.OK
    assert doctor_transport.peers_finding([]).state is State.OK


# The measurement of the transport.


@pytest.mark.parametrize(
    ('changes', 'state', 'said'),
    [
        ({}, State.OK, '66 of 66'),
        ({'received': 64}, State.WARN, '64 of 66'),
        ({'received': 20}, State.FAIL, '20 of 66'),
        ({'received': 0, 'p50_ms': None, 'p95_ms': None}, State.FAIL, '0 of 66'),
        ({'sent': 0, 'received': 0, 'matched': False}, State.FAIL, 'did not find'),
        ({'p95_ms': 80.0}, State.WARN, 'longer than one frame'),
        ({'rate_hz': 12.0}, State.WARN, 'overloaded'),
    ],
)
def test_the_verdict_follows_the_measurement(changes, state, said):
    finding = doctor_transport.transport_finding(
        probe(**changes), settings(), shared_memory_ok=True
    )
    assert finding.state is state
    assert said in finding.sentence
    assert bool(finding.fix) is (state is not State.OK)


def test_images_that_are_lost_for_want_of_shared_memory_point_there():
    lost = probe(received=3)
    finding = doctor_transport.transport_finding(lost, settings(), shared_memory_ok=False)
    assert 'shared memory' in finding.fix


def test_images_that_are_lost_with_the_users_own_profile_point_there():
    lost, report = probe(received=3), settings(profile_is_users=True)
    finding = doctor_transport.transport_finding(lost, report, shared_memory_ok=True)
    assert PROFILE_VARIABLES[0] in finding.fix


def test_zenoh_without_its_router_is_told_to_start_it():
    alone = probe(matched=False, sent=0, received=0, rmw='rmw_zenoh_cpp')
    finding = doctor_transport.transport_finding(alone, settings(), shared_memory_ok=True)
    assert 'rmw_zenohd' in finding.fix


def test_the_comparison_without_settings_never_fails():
    assert doctor_transport.unprepared_finding(probe(received=2)).state is State.OK


# Models and backends.


class Fake:
    """A backend that answers with what it was given."""

    identity = ModelIdentity(name='fake', sha256=None, backend='onnxruntime')

    def __init__(self, disparity_px: np.ndarray | None) -> None:
        self._disparity_px = disparity_px

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        return RawOutput(disparity_px=self._disparity_px)

    def close(self) -> None:
        pass


def test_the_known_pair_is_what_its_disparity_says():
    left, right, truth_px = doctor_backends.known_pair()
    rows, columns = np.nonzero(np.isfinite(truth_px))
    assert len(rows) > 10000
    partners = columns - truth_px[rows, columns].astype(int)
    assert np.array_equal(left[rows, columns], right[rows, partners])
    assert set(np.unique(truth_px[rows, columns])) == {8.0, 21.0}


def test_the_matcher_of_the_product_is_right_on_the_known_pair():
    assert 'opencv_sgbm' in doctor_backends.self_tests()['opencv']()


def test_a_matcher_that_is_off_is_found():
    truth_px = doctor_backends.known_pair()[2]
    assert doctor_backends.check_matcher(Fake(truth_px + np.float32(0.4)))
    with pytest.raises(MsdesisError, match=r'0\.60 px'):
        doctor_backends.check_matcher(Fake(truth_px + np.float32(0.6)))


def test_a_matcher_that_answers_little_is_found():
    sparse_px = doctor_backends.known_pair()[2].copy()
    sparse_px[:, ::2] = np.nan
    with pytest.raises(MsdesisError, match='50%'):
        doctor_backends.check_matcher(Fake(sparse_px))
    with pytest.raises(MsdesisError):
        doctor_backends.check_matcher(Fake(None))


def test_the_small_network_is_a_valid_onnx_file():
    onnx = pytest.importorskip('onnx', reason='onnx is not installed')
    onnx.checker.check_model(onnx.load_from_string(mean_difference_graph()), full_check=True)


def test_onnx_runtime_runs_the_small_network():
    assert 'CPUExecutionProvider' in doctor_backends.self_tests()['onnxruntime']()


def test_the_small_network_takes_the_difference_of_left_and_right():
    backend = doctor_backends.open_test_graph('onnxruntime')
    left = np.zeros((4, 6, 3), dtype=np.uint8)
    right = left.copy()
    left[1, 2], right[3, 4] = (3, 6, 9), (1, 2, 3)
    expected = np.zeros((4, 6), dtype=np.float32)
    expected[1, 2], expected[3, 4] = 6, -2
    np.testing.assert_allclose(backend.run(left, right).disparity_px, expected, atol=1e-4)


def test_a_network_with_a_wrong_answer_is_found():
    shape = (doctor_backends.HEIGHT, doctor_backends.WIDTH)
    assert doctor_backends.check_graph(Fake(np.full(shape, 30, dtype=np.float32)))
    with pytest.raises(MsdesisError, match='30'):
        doctor_backends.check_graph(Fake(np.full(shape, -30, dtype=np.float32)))


def test_a_broken_backend_fails_whatever_it_raises_and_the_others_are_still_tested():
    def broken() -> str:
        raise RuntimeError('illegal instruction')

    found = by_check(
        doctor_backends.backend_findings({'opencv': broken, 'onnxruntime': lambda: 'fine'})
    )
    assert found['backend opencv'].state is State.FAIL
    assert 'illegal instruction' in found['backend opencv'].sentence
    assert found['backend onnxruntime'].state is State.OK
    assert found['backend onnxruntime_cuda'].state is State.WARN, 'a backend without a test'


def test_every_backend_of_the_product_has_a_self_test():
    assert set(doctor_backends.self_tests()) == set(doctor_backends.BUILDERS)


@pytest.mark.parametrize(('driver', 'state'), [(False, State.OK), (True, State.WARN)])
def test_cuda_is_missed_only_where_a_gpu_could_use_it(monkeypatch, driver, state):
    def absent() -> str:
        raise MissingExtraError('this ONNX Runtime has no CUDAExecutionProvider')

    monkeypatch.setattr(doctor_backends, 'has_nvidia_driver', lambda: driver)
    finding = doctor_backends.backend_finding('onnxruntime_cuda', absent)
    assert finding.state is state
    assert ('onnxruntime-gpu' in finding.fix) is driver


def test_onnx_runtime_itself_is_never_optional(monkeypatch):
    def absent() -> str:
        raise MissingExtraError('ONNX Runtime cannot be imported')

    monkeypatch.setattr(doctor_backends, 'has_nvidia_driver', lambda: False)
    assert doctor_backends.backend_finding('onnxruntime', absent).state is State.FAIL


def test_a_model_file_that_is_not_its_cards_fails(monkeypatch):
    assert doctor_backends.card_finding().state is State.OK
    monkeypatch.setattr(doctor_backends, 'verify_card', lambda card: [f'{card.name} has changed'])
    finding = doctor_backends.card_finding()
    assert finding.state is State.FAIL
    assert 'has changed' in finding.sentence


def test_a_card_that_cannot_be_read_fails(monkeypatch):
    def unreadable():
        raise ModelError('the card is not TOML')

    monkeypatch.setattr(doctor_backends, 'list_cards', unreadable)
    assert doctor_backends.card_finding().state is State.FAIL


# The command.


@pytest.fixture
def fake_ros(monkeypatch):
    """A machine with a complete ROS whose transport loses nothing."""
    complete = RosImports(failed={}, rmw='rmw_fastrtps_cpp')
    monkeypatch.setattr(doctor, 'find_installation', installation)
    monkeypatch.setattr(doctor, 'try_imports', lambda: complete)
    monkeypatch.setattr(doctor, 'prepare_process', settings)
    monkeypatch.setattr(doctor, 'find_peers', list)
    monkeypatch.setattr(doctor, 'probe_transport', lambda **_: probe())
    return monkeypatch


def run_command(*arguments: str) -> tuple[int, str]:
    import typer

    app = typer.Typer()
    app.command()(doctor.doctor)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_healthy_machine_is_told_so_line_by_line(fake_ros):
    code, output = run_command()
    assert code == 0, output
    assert re.search(r'^ok {4}transport: 66 of 66', output, re.MULTILINE)
    assert output.endswith(' 0 failures\n')


def test_a_failure_gives_exit_code_1_and_its_fix(fake_ros):
    fake_ros.setattr(doctor, 'probe_transport', lambda **_: probe(received=5))
    code, output = run_command()
    assert code == 1
    assert re.search(r'^fail {2}transport: 5 of 66.*\n {6}fix: ', output, re.MULTILINE)


def test_a_self_test_that_cannot_be_made_fails_without_a_traceback(fake_ros):
    def broken(**_: object) -> TransportProbe:
        raise MsdesisError('it was ended by signal 11')

    fake_ros.setattr(doctor, 'probe_transport', broken)
    code, output = run_command()
    assert code == 1
    assert 'signal 11' in output


def test_without_rclpy_everything_else_is_still_said_and_nothing_fails(fake_ros):
    def never(**_: object) -> None:
        raise AssertionError('there is no ROS to try')

    absent = installation(rclpy_path=None, source='none', distribution='', installed=())
    fake_ros.setattr(doctor, 'find_installation', lambda: absent)
    fake_ros.setattr(doctor, 'try_imports', never)
    fake_ros.setattr(doctor, 'probe_transport', never)
    code, output = run_command()
    assert code == 0, output
    assert re.search(r'^warn {2}rclpy: ', output, re.MULTILINE)
    assert re.search(r'^warn {2}transport: not tested', output, re.MULTILINE)
    assert re.search(r'^ok {4}backend opencv: ', output, re.MULTILINE)


def test_compare_measures_a_second_time_without_the_settings(fake_ros):
    asked = []

    def measured(*, seconds: float, prepared: bool = True) -> TransportProbe:
        asked.append(prepared)
        return probe(received=66 if prepared else 2)

    fake_ros.setattr(doctor, 'probe_transport', measured)
    assert doctor_transport.UNPREPARED_CHECK not in run_command()[1]
    code, output = run_command('--compare')
    assert code == 0, output
    assert asked == [True, True, False]
    assert re.search(r'^ok {4}without the settings: .*2 of 66', output, re.MULTILINE)


def test_the_json_file_holds_every_finding_with_its_figures(fake_ros, tmp_path):
    path = tmp_path / 'new' / 'doctor.json'
    assert run_command('--json', str(path))[0] == 0
    content = json.loads(path.read_text())
    # Older packages and no GPU are warnings, which are no failure.
    assert content['state'] in ('ok', 'warn')
    transport = {each['check']: each for each in content['findings']}['transport']
    assert transport['state'] == 'ok'
    assert transport['figures']['received'] == 66


def test_on_a_terminal_there_is_a_table_and_commands_are_not_wrapped():
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    fix = 'pip install ' + "'msdesis_ros[ros]' " * 8
    findings = [ok('numpy', 'numpy 2'), Finding('rclpy', State.WARN, 'not [there]', fix)]
    assert doctor.report(iter(findings), console) == findings
    output = console.file.getvalue()
    assert 'not [there]' in output
    assert fix in output, 'square brackets are no markup'
    assert '1 ok, 1 warnings, 0 failures' in output


def test_the_worst_state_counts():
    warning = Finding('a', State.WARN, '')
    assert worst([]) is State.OK
    assert worst([ok('b', ''), warning]) is State.WARN
    assert worst([Finding('c', State.FAIL, ''), warning]) is State.FAIL


def test_help_has_an_example():
    code, output = run_command('--help')
    assert code == 0
    assert 'Example: msdesis doctor' in output


BLOCK_ROS = """
import sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name == 'rclpy' or name.startswith('rclpy.') or name.endswith('_msgs'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, NoRos())
from msdesis_ros.cli import doctor
from msdesis_ros.cli import models
print('imported')
"""


def test_the_commands_can_be_imported_where_there_is_no_ros(project_root):
    done = subprocess.run(
        [sys.executable, '-c', BLOCK_ROS],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == 'imported\n', done.stderr


def test_the_doctor_measures_this_machine_for_real(monkeypatch):
    pytest.importorskip('rclpy', reason='rclpy is not installed: no transport to measure')
    monkeypatch.setattr(transport_probe, 'OVERHEAD_S', 90.0)
    found = by_check(iter(list(doctor.examine(seconds=1.0))))
    assert found['rclpy'].state is not State.FAIL
    if found['shared memory'].state is State.FAIL:
        pytest.skip('the shared memory of this machine is too small to measure in')
    transport = found['transport']
    assert transport.figures['sent'] == 22, transport
    # A busy machine loses some, and says so.
    received = transport.figures['received']
    assert 1 <= received <= 22
    assert f'{received} of 22' in transport.sentence
    assert received == 22 or transport.state is not State.OK
    assert 0 < transport.figures['p50_ms'] <= transport.figures['p95_ms'] < 10_000
