"""Publish picture files as a stereo camera; every parameter of the player is an argument.

    ros2 launch msdesis_ros stereo_player.launch.py namespace:=/endoscope \
        left:=left.png right:=right.png calibration:=stereo.json rate_hz:=10.0
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from msdesis_ros.ros.player_parameters import SPECS


def argument(name: str) -> DeclareLaunchArgument:
    """The argument of one parameter, with its default and its description."""
    default, text = SPECS[name].default, SPECS[name].description
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return DeclareLaunchArgument(name, default_value=shown, description=text)


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    namespace = DeclareLaunchArgument(
        'namespace', default_value='', description='Namespace of the published topics.'
    )
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=type(spec.default))
        for name, spec in SPECS.items()
    }
    player = Node(
        package='msdesis_ros',
        executable='stereo_player',
        name='stereo_player',
        namespace=LaunchConfiguration('namespace'),
        parameters=[parameters],
        output='screen',
    )
    return LaunchDescription([namespace, *map(argument, SPECS), player])
