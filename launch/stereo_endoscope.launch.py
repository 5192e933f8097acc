"""Start the stereo_endoscope node, and RViz where asked for.

ros2 launch msdesis_ros stereo_endoscope.launch.py namespace:=/endoscope
ros2 launch msdesis_ros stereo_endoscope.launch.py --show-args
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from msdesis_ros.core.resources import resource

# Launch argument -> (parameter of the node, its type). What is left empty stays as in params_file.
PARAMETERS = {
    'model': ('model', str),
    'backend': ('backend', str),
    'rectified': ('rectified', bool),
    'image_transport': ('image_transport', str),
    'sync': ('sync', str),
    'max_skew': ('max_skew_ms', float),
}
# Launch argument -> the topic of the node that it stands for.
TOPICS = {
    'left_image': 'left/image_raw',
    'right_image': 'right/image_raw',
    'left_camera_info': 'left/camera_info',
    'right_camera_info': 'right/camera_info',
}
AS_IN_FILE = ' Empty: as in params_file.'


def arguments() -> list[DeclareLaunchArgument]:
    """Every argument with its default, in the order that --show-args prints."""
    declared = {
        'namespace': ('', 'Namespace of the node; its topics are relative to it.'),
        **{name: (topic, f'Topic to subscribe to as {topic}.') for name, topic in TOPICS.items()},
        'params_file': (
            str(resource('config', 'stereo_endoscope.yaml')),
            'YAML file with parameters of the node.',
        ),
        'model': ('', 'Model card to run, for example msdesis_fast.' + AS_IN_FILE),
        'backend': ('', 'Backend that runs the model, for example opencv.' + AS_IN_FILE),
        'rectified': ('', 'true: the pictures arrive rectified.' + AS_IN_FILE),
        'image_transport': ('', 'How pictures come: raw or compressed.' + AS_IN_FILE),
        'sync': ('', 'What pairs the pictures: builtin or message_filters.' + AS_IN_FILE),
        'max_skew': ('', 'Largest difference of left and right stamp, in ms.' + AS_IN_FILE),
        'use_sim_time': ('false', 'true: take the time from /clock (a bag played with --clock).'),
        'autostart': ('true', 'false: leave configure and activate to a lifecycle manager.'),
        'log_level': ('info', 'Log level of the node: debug, info, warn, error or fatal.'),
        'rviz': ('false', 'true: start RViz with the layout of this package.'),
        'optical_frame': (
            'left_optical',
            'Frame of the results, for RViz and isi_frame; the left camera_info names it.',
        ),
        'isi_frame': (
            '',
            'dVRK: frame with the axes of the ECM; a static transform (half a turn about z) to'
            ' optical_frame is published. Empty: none.',
        ),
    }
    return [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in declared.items()
    ]


def typed(argument: str, kind: type, context: LaunchContext) -> ParameterValue:
    """An argument as a parameter value; RuntimeError with a sentence where it cannot be one."""
    text = LaunchConfiguration(argument).perform(context)
    try:
        value = {'true': True, 'false': False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = 'true or false' if kind is bool else 'a number'
        raise RuntimeError(f"{argument} is '{text}'; expected {expected}") from None
    return ParameterValue(value, value_type=kind)


def endoscope_node(context: LaunchContext) -> list[LifecycleNode]:
    """The node, with those parameters whose arguments are not empty on top of params_file."""
    given = {
        parameter: typed(argument, kind, context)
        for argument, (parameter, kind) in PARAMETERS.items()
        if LaunchConfiguration(argument).perform(context)
    }
    # The node configures and activates itself. Events sent from here instead can reach it before
    # its services exist, and would be a second way to do the same.
    for name in ('autostart', 'use_sim_time'):
        given[name] = typed(name, bool, context)
    return [
        LifecycleNode(
            package='msdesis_ros',
            executable='stereo_endoscope',
            name='stereo_endoscope',
            namespace=LaunchConfiguration('namespace'),
            parameters=[LaunchConfiguration('params_file'), given],
            remappings=[(topic, LaunchConfiguration(name)) for name, topic in TOPICS.items()],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            # The settings for large messages are made by the process itself, however it starts.
            output='screen',
        )
    ]


def isi_axes(context: LaunchContext) -> list[Node]:
    """The static transform from Intuitive's axes (x left, y up) to optical ones, if asked for."""
    if not LaunchConfiguration('isi_frame').perform(context):
        return []
    parent, child = LaunchConfiguration('isi_frame'), LaunchConfiguration('optical_frame')
    return [
        Node(
            package='tf2_ros',
            executable='static_transform_publisher',
            name='isi_axes',
            arguments=[
                '--yaw',
                '3.141592653589793',
                '--frame-id',
                parent,
                '--child-frame-id',
                child,
            ],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    viewer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(resource('launch', 'viewer.launch.py'))),
        launch_arguments={
            name: LaunchConfiguration(name)
            for name in ('namespace', 'optical_frame', 'use_sim_time')
        }.items(),
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=endoscope_node),
            OpaqueFunction(function=isi_axes),
            viewer,
        ]
    )
