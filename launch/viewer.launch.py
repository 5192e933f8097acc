"""Start RViz with the layout of this package, in the namespace of the node.

ros2 launch msdesis_ros viewer.launch.py namespace:=/endoscope optical_frame:=left_optical
"""

from __future__ import annotations

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from msdesis_ros.core.resources import resource
from msdesis_ros.ros.transport import child_environment


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    # RViz does not make the settings for large messages itself, and without them clouds of 21 MB
    # hardly reach it. Only what is missing is given, so that nobody's own choice is overridden.
    settings = child_environment().items()
    missing = {name: value for name, value in settings if name not in os.environ}
    declared = {
        'namespace': ('', 'Namespace of the stereo_endoscope node.'),
        'optical_frame': ('left_optical', 'Frame of the results (the left camera_info names it).'),
        'use_sim_time': ('false', 'true: take the time from /clock.'),
        'rviz_config': (
            str(resource('config', 'stereo_endoscope.rviz')),
            'RViz layout to open.',
        ),
    }
    layout, frame = LaunchConfiguration('rviz_config'), LaunchConfiguration('optical_frame')
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in declared.items()
            ),
            Node(
                package='rviz2',
                executable='rviz2',
                name='rviz',
                namespace=LaunchConfiguration('namespace'),
                arguments=['--display-config', layout, '--fixed-frame', frame],
                parameters=[{'use_sim_time': use_sim_time}],
                additional_env=missing,
            ),
        ]
    )
