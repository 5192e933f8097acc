"""The launch files, resolved without ROS: every argument must arrive somewhere that exists.

A small stand-in plays the part of `launch` and `launch_ros`, which the ROS wheels do not have. It
knows just what the launch files use; anything else fails with its name.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='the names of the parameters are in a module that needs ROS')

LAUNCH = Path(__file__).parents[1] / 'launch'
CONFIG = Path(__file__).parents[1] / 'config'
# Values of arguments whose empty default does not show that they are no free text.
VALUES = {'rectified': 'true', 'max_skew': '5'}
FILES = ('stereo_endoscope', 'stereo_player', 'viewer')


# --- The stand-in. ---


@dataclass(frozen=True)
class Configuration:
    name: str

    def perform(self, context: Context) -> str:
        if self.name not in context.values:
            raise KeyError(f'launch argument {self.name} is used, but not declared')
        return context.values[self.name]


@dataclass
class Context:
    values: dict[str, str]
    declared: dict[str, Argument] = field(default_factory=dict)
    nodes: list[ResolvedNode] = field(default_factory=list)

    def text(self, value: object) -> str:
        if isinstance(value, str):
            return value
        assert isinstance(value, Configuration), f'the stand-in cannot resolve {value!r}'
        return value.perform(self)


@dataclass(frozen=True)
class Argument:
    name: str
    default_value: str | None = None
    description: str = ''

    def visit(self, context: Context) -> None:
        context.declared[self.name] = self
        if self.default_value is not None:
            context.values.setdefault(self.name, self.default_value)


@dataclass(frozen=True)
class Value:
    value: object
    value_type: type

    def perform(self, context: Context) -> object:
        if not isinstance(self.value, (str, Configuration)):
            assert type(self.value) is self.value_type
            return self.value
        text = context.text(self.value)
        return yaml.safe_load(text) if self.value_type is bool else self.value_type(text)


@dataclass(frozen=True)
class IfCondition:
    predicate: object

    def holds(self, context: Context) -> bool:
        return yaml.safe_load(context.text(self.predicate)) is True


@dataclass(frozen=True)
class OpaqueFunction:
    function: object

    def visit(self, context: Context) -> None:
        for action in self.function(context):
            action.visit(context)


@dataclass(frozen=True)
class Include:
    source: str
    launch_arguments: object = ()
    condition: IfCondition | None = None

    def visit(self, context: Context) -> None:
        if self.condition is None or self.condition.holds(context):
            passed = {name: context.text(value) for name, value in self.launch_arguments}
            inner = Context({**context.values, **passed})
            for action in runpy.run_path(self.source)['generate_launch_description']():
                action.visit(inner)
            unknown = set(passed) - set(inner.declared)
            assert not unknown, f'{self.source} does not declare {unknown}'
            context.nodes += inner.nodes


@dataclass(frozen=True, kw_only=True)
class Node:
    package: str
    executable: str
    name: str
    namespace: object = ''
    parameters: object = ()
    remappings: object = ()
    arguments: object = ()
    ros_arguments: object = ()
    additional_env: dict | None = None
    output: str = 'log'

    def visit(self, context: Context) -> None:
        resolved = ResolvedNode(self.package, self.executable, context.text(self.namespace))
        for parameters in self.parameters:
            if isinstance(parameters, dict):
                resolved.parameters.update(
                    {key: value.perform(context) for key, value in parameters.items()}
                )
            else:
                resolved.parameter_files.append(context.text(parameters))
        resolved.remappings = {key: context.text(value) for key, value in self.remappings}
        resolved.arguments = [
            context.text(value) for value in (*self.arguments, *self.ros_arguments)
        ]
        resolved.environment = dict(self.additional_env or {})
        context.nodes.append(resolved)


@dataclass
class ResolvedNode:
    package: str
    executable: str
    namespace: str
    parameters: dict[str, object] = field(default_factory=dict)
    parameter_files: list[str] = field(default_factory=list)
    remappings: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


STAND_IN = {
    'launch': {'LaunchContext': Context, 'LaunchDescription': list},
    'launch.actions': {
        'DeclareLaunchArgument': Argument,
        'IncludeLaunchDescription': Include,
        'OpaqueFunction': OpaqueFunction,
    },
    'launch.conditions': {'IfCondition': IfCondition},
    'launch.launch_description_sources': {'PythonLaunchDescriptionSource': str},
    'launch.substitutions': {'LaunchConfiguration': Configuration},
    'launch_ros': {},
    'launch_ros.actions': {'LifecycleNode': Node, 'Node': Node},
    'launch_ros.parameter_descriptions': {'ParameterValue': Value},
}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch) -> None:
    for name, content in STAND_IN.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)


def resolve(path: Path, **arguments: str) -> Context:
    """Resolve a launch file with these arguments; unknown ones are an error as in ros2 launch."""
    context = Context(dict(arguments))
    for action in runpy.run_path(str(path))['generate_launch_description']():
        action.visit(context)
    unknown = set(arguments) - set(context.declared)
    assert not unknown, f'{path.name} does not declare {unknown}'
    return context


# --- What must hold for every launch file. ---


def known_parameters(executable: str) -> dict[str, type]:
    """The parameters a node of ours declares with their types; those of every node included."""
    from msdesis_ros.ros import parameters, player

    declared = {
        'stereo_endoscope': {**parameters.SPECS, 'autostart': parameters.AUTOSTART},
        'stereo_player': player.SPECS,
    }
    types_ = {name: type(spec.default) for name, spec in declared[executable].items()}
    return {**types_, 'use_sim_time': bool}


def probe(value: str) -> str:
    """A value of the same kind that differs."""
    if value in ('true', 'false'):
        return 'false' if value == 'true' else 'true'
    if value.replace('.', '', 1).isdigit():
        return value.replace('.', '7.') if '.' in value else value + '7'
    return f'{value}_probe' if value else '1'


def faults(path: Path) -> list[str]:
    """What is wrong with a launch file: arguments that reach nothing, parameters unknown."""
    found = []
    declared = resolve(path).declared
    everything = {'rviz': 'true', 'isi_frame': 'ECM'}
    base = {name: value for name, value in everything.items() if name in declared}
    for name, argument in declared.items():
        if len(argument.description) < 10:
            found.append(f'{name} has no description')
        before = resolve(path, **base)
        after = resolve(
            path,
            **{**base, name: VALUES.get(name) or probe(base.get(name, argument.default_value))},
        )
        if before.nodes == after.nodes:
            found.append(f'{name} reaches nothing')
    for node in resolve(path, **{**base, **_all_given(declared)}).nodes:
        if node.package == 'msdesis_ros':
            known = known_parameters(node.executable)
            for name, value in node.parameters.items():
                if name not in known:
                    found.append(f'{node.executable} has no parameter {name}')
                elif type(value) is not known[name]:  # ROS refuses 5 where 5.0 is declared
                    found.append(f'{name} of {node.executable} becomes {value!r}')
    return found


def _all_given(declared: dict[str, Argument]) -> dict[str, str]:
    empty = [name for name, argument in declared.items() if argument.default_value == '']
    return {name: VALUES.get(name, '1') for name in empty}


@pytest.mark.parametrize('name', FILES)
def test_every_argument_is_described_and_reaches_what_exists(name):
    assert faults(LAUNCH / f'{name}.launch.py') == []


@pytest.mark.parametrize(
    ('right', 'wrong', 'fault'),
    [
        ("'max_skew_ms'", "'max_skew_s'", 'stereo_endoscope has no parameter max_skew_s'),
        (
            "'max_skew_ms', float",
            "'max_skew_ms', int",
            'max_skew_ms of stereo_endoscope becomes 5',
        ),
        ('remappings=[(', 'remappings=[] and [(', 'left_image reaches nothing'),
        ("'--log-level', Lau", "'--log-level', 'info'] or [Lau", 'log_level reaches nothing'),
        ("'Namespace of the node; its topics are relative to it.'", "''", 'no description'),
    ],
)
def test_the_check_of_launch_files_finds_a_planted_fault(tmp_path, right, wrong, fault):
    text = (LAUNCH / 'stereo_endoscope.launch.py').read_text()
    assert right in text
    (tmp_path / 'planted.launch.py').write_text(text.replace(right, wrong))
    assert any(fault in found for found in faults(tmp_path / 'planted.launch.py'))


# --- What the launch file of the node promises. ---


def endoscope(**arguments: str) -> ResolvedNode:
    context = resolve(LAUNCH / 'stereo_endoscope.launch.py', **arguments)
    return next(node for node in context.nodes if node.executable == 'stereo_endoscope')


def test_without_arguments_the_node_takes_its_parameters_from_the_shipped_file():
    node = endoscope()
    assert [Path(file).name for file in node.parameter_files] == ['stereo_endoscope.yaml']
    assert node.parameters == {'autostart': True, 'use_sim_time': False}
    assert node.namespace == ''


def test_an_argument_overrides_the_file_with_a_value_of_the_right_type():
    node = endoscope(max_skew='5', rectified='true', model='m')
    assert node.parameters['max_skew_ms'] == 5.0
    assert isinstance(node.parameters['max_skew_ms'], float)
    assert node.parameters['rectified'] is True
    assert node.parameters['model'] == 'm'


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'max_skew': 'abc'}, "max_skew is 'abc'; expected a number"),
        ({'rectified': 'maybe'}, "rectified is 'maybe'; expected true or false"),
        ({'autostart': ''}, "autostart is ''; expected true or false"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_by_name(arguments, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        endoscope(**arguments)


def test_topics_are_remapped_side_by_side():
    node = endoscope(left_image='/rig/l', right_camera_info='/rig/ri')
    assert node.remappings == {
        'left/image_raw': '/rig/l',
        'right/image_raw': 'right/image_raw',
        'left/camera_info': 'left/camera_info',
        'right/camera_info': '/rig/ri',
    }


STARTED = """
import json, sys
import rclpy
from msdesis_ros.ros.stereo_endoscope import StereoEndoscope

rclpy.init(args=sys.argv)
node = StereoEndoscope()
node.trigger_configure()
node.trigger_activate()
topics = node.get_subscriber_names_and_types_by_node(node.get_name(), node.get_namespace())
values = {name: p.value for name, p in node.get_parameters_by_prefix('').items()}
print(json.dumps({'topics': {name: kinds for name, kinds in topics}, 'values': values}))
"""


@pytest.mark.parametrize(
    ('transport', 'suffix', 'kind'),
    [('raw', '', 'Image'), ('compressed', '/compressed', 'CompressedImage')],
)
def test_a_node_started_so_has_these_topics_and_parameters(tmp_path, transport, suffix, kind):
    from msdesis_ros.ros.domain import private_domain_id

    node = endoscope(
        namespace='/rig',
        left_image='/eyes/left',
        right_camera_info='right/info',
        image_transport=transport,
        max_skew='7',
        rectified='true',
    )
    # As launch_ros does it: values of the description go through a file of their own.
    given = tmp_path / 'given.yaml'
    given.write_text(yaml.safe_dump({'/**': {'ros__parameters': node.parameters}}))
    words = ['--ros-args', '-r', f'__ns:={node.namespace}', *node.arguments]
    for file in (*node.parameter_files, str(given)):
        words += ['--params-file', file]
    for topic, target in node.remappings.items():
        words += ['-r', f'{topic}:={target}']
    domain = str(private_domain_id())
    alone = {'ROS_DOMAIN_ID': domain, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    done = subprocess.run(
        [sys.executable, '-c', STARTED, *words],
        cwd=LAUNCH.parent,
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    topics = {name: kinds for name, kinds in found['topics'].items() if 'sensor_msgs' in kinds[0]}
    assert topics == {
        f'/eyes/left{suffix}': [f'sensor_msgs/msg/{kind}'],
        f'/rig/right/image_raw{suffix}': [f'sensor_msgs/msg/{kind}'],
        '/rig/left/camera_info': ['sensor_msgs/msg/CameraInfo'],
        '/rig/right/info': ['sensor_msgs/msg/CameraInfo'],
    }
    values = found['values']
    assert (values['max_skew_ms'], values['rectified'], values['model']) == (
        7.0,
        True,
        'msdesis_fast',
    )


def test_rviz_and_the_transform_of_the_isi_axes_start_only_when_asked_for():
    def executables(**arguments: str) -> list[str]:
        context = resolve(LAUNCH / 'stereo_endoscope.launch.py', **arguments)
        return [node.executable for node in context.nodes]

    assert executables() == ['stereo_endoscope']
    assert executables(rviz='true') == ['stereo_endoscope', 'rviz2']
    assert executables(isi_frame='ECM') == ['stereo_endoscope', 'static_transform_publisher']


def test_rviz_runs_in_the_namespace_of_the_node_with_its_frame():
    context = resolve(
        LAUNCH / 'stereo_endoscope.launch.py', rviz='true', namespace='/rig', optical_frame='eye'
    )
    rviz = context.nodes[-1]
    assert rviz.namespace == '/rig'
    assert rviz.arguments[-2:] == ['--fixed-frame', 'eye']


def test_rviz_gets_the_transport_settings_that_the_user_has_not_made(monkeypatch):
    variables = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    for variable in (*variables, 'FASTDDS_BUILTIN_TRANSPORTS', 'MALLOC_MMAP_THRESHOLD_'):
        monkeypatch.delenv(variable, raising=False)
    (rviz,) = resolve(LAUNCH / 'viewer.launch.py').nodes
    for variable in variables:
        assert Path(rviz.environment[variable]).name == 'fastdds_large_data.xml'
    assert int(rviz.environment['MALLOC_MMAP_THRESHOLD_']) > 21 << 20
    assert 'PATH' not in rviz.environment, 'only what is missing belongs here'
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    (rviz,) = resolve(LAUNCH / 'viewer.launch.py').nodes
    assert 'FASTDDS_DEFAULT_PROFILES_FILE' not in rviz.environment


REAL = """
import sys
from launch import LaunchContext
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch_ros.actions import Node
from launch_ros.utilities import evaluate_parameters

description = get_launch_description_from_python_launch_file(sys.argv[1])
context = LaunchContext()
for argument in description.get_launch_arguments():
    print('argument', argument.name)
    argument.execute(context)
for action in description.entities:
    made = action.execute(context) if isinstance(action, OpaqueFunction) else [action]
    for node in made or []:
        if isinstance(node, Node):
            print('node', node.node_executable)
            evaluate_parameters(context, node._Node__parameters)
"""


@pytest.mark.skipif(
    importlib.util.find_spec('launch_ros') is None, reason='launch_ros is not among the wheels'
)
@pytest.mark.parametrize('name', FILES)
def test_the_real_launch_system_sees_what_the_stand_in_sees(name):
    path = LAUNCH / f'{name}.launch.py'
    done = subprocess.run(
        [sys.executable, '-c', REAL, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    context = resolve(path)
    assert {word for kind, word in words if kind == 'argument'} >= set(context.declared)
    started = [word for kind, word in words if kind == 'node']
    assert started == [node.executable for node in context.nodes]


# --- The configuration files beside them. ---


def ros_parameters(name: str) -> Iterator[tuple[str, dict]]:
    for node, content in yaml.safe_load((CONFIG / name).read_text()).items():
        yield node, content['ros__parameters']


def test_the_shipped_parameters_are_all_of_the_node_with_its_defaults():
    from msdesis_ros.ros.parameters import SPECS

    ((node, values),) = ros_parameters('stereo_endoscope.yaml')
    assert node == '/**'
    defaults = {name: spec.default for name, spec in SPECS.items()}
    assert values == defaults
    # 10.0 == 10 in Python, while ROS refuses an integer for a double.
    assert {k: type(v) for k, v in values.items()} == {k: type(v) for k, v in defaults.items()}


def test_the_comments_of_the_shipped_parameters_say_which_are_live():
    from msdesis_ros.ros.parameters import SPECS

    lines = (CONFIG / 'stereo_endoscope.yaml').read_text().splitlines()
    for comment, line in zip(lines, lines[1:], strict=False):
        name = line.strip().split(':')[0]
        if name in SPECS:
            assert ('(live)' in comment) == SPECS[name].live, name


def test_the_example_for_the_dvrk_uses_parameters_of_the_node_within_their_ranges():
    from msdesis_ros.ros.declared import reason_against
    from msdesis_ros.ros.parameters import SPECS

    ((_, values),) = ros_parameters('dvrk.yaml')
    for name, value in values.items():
        assert type(value) is type(SPECS[name].default), name
        assert reason_against(name, value, SPECS[name]) == ''


def test_the_qos_example_overrides_topics_of_the_node_with_policies_ros_knows():
    topics = {
        '/endoscope/left/image_raw': 'subscription',
        '/endoscope/right/image_raw': 'subscription',
        '/endoscope/points': 'publisher',
    }
    ((node, values),) = ros_parameters('qos_overrides.yaml')
    assert node == '/endoscope/stereo_endoscope'
    overrides = values['qos_overrides']
    assert {topic: next(iter(entry)) for topic, entry in overrides.items()} == topics
    for entry in overrides.values():
        (policies,) = entry.values()
        assert policies['reliability'] in ('reliable', 'best_effort')
        assert policies['history'] == 'keep_last' and policies['depth'] >= 1


def test_the_rviz_layout_shows_relative_topics_of_the_node():
    from msdesis_ros.ros.outputs import TOPICS

    kinds = {'PointCloud2': 'PointCloud2', 'Image': 'Image'}
    layout = yaml.safe_load((CONFIG / 'stereo_endoscope.rviz').read_text())
    displays = layout['Visualization Manager']['Displays']
    shown = [entry for entry in displays if 'Topic' in entry]
    assert len(shown) == 3
    for entry in shown:
        kind = kinds[entry['Class'].removeprefix('rviz_default_plugins/')]
        assert TOPICS[entry['Topic']['Value']].__name__ == kind, entry['Name']
