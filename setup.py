"""Installs the package the same way with pip and with colcon (build type ament_python)."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'msdesis_ros'
# Links are followed because `colcon build --symlink-install` runs a link to this file in its build
# folder, where README.md is missing.
HERE = Path(__file__).resolve().parent


def version() -> str:
    """Return the version of `msdesis_ros/__init__.py`, without importing the package."""
    text = (HERE / NAME / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE).group(1)


def shared_files(*folders: str) -> list[tuple[str, list[str]]]:
    """List every file below `folders` for `share/<package>/`, folder by folder."""
    listed = []
    for top in folders:
        for folder in sorted([HERE / top, *(HERE / top).rglob('*/')]):
            where = folder.relative_to(HERE).as_posix()
            if not folder.is_dir() or '__pycache__' in where:
                continue
            names = sorted(f'{where}/{item.name}' for item in folder.iterdir() if item.is_file())
            if names:
                listed.append((f'share/{NAME}/{where}', names))
    return listed


# Ranges say what the code works with; constraints.txt holds the exact versions it is tested with.
REQUIREMENTS = [
    'numpy>=1.26,<3',
    'opencv-python-headless>=4.5,<6',
    'onnxruntime>=1.16',
    'typer>=0.12',
    'rich>=13',
    'PyYAML>=5.4',
    'mcap>=1.1',
    'mcap-ros2-support>=0.5',
    'tomli>=1.1; python_version<"3.11"',
]

# ROS 2 Jazzy as wheels, for machines without a ROS distribution. Never beside a distribution's
# own: there rosdep brings these packages, and the wheels would shadow them.
ROS = [
    'ros-jazzy-rclpy',
    'ros-jazzy-rmw-fastrtps-cpp',
    'ros-jazzy-diagnostic-msgs',
    'ros-jazzy-geometry-msgs',
    'ros-jazzy-lifecycle-msgs',
    'ros-jazzy-sensor-msgs',
    'ros-jazzy-std-srvs',
    'ros-jazzy-stereo-msgs',
    'ros-jazzy-visualization-msgs',
]

# For the modules in msdesis_ros/nets alone; the node runs networks as ONNX files without it. The
# usual wheel of torch for Linux brings CUDA with it, several gigabytes.
TORCH = ['torch>=2.2', 'safetensors>=0.4', 'tensorboard>=2.12']

# What `msdesis export` needs beside torch.
EXPORT = [*TORCH, 'onnx>=1.16', 'onnxscript>=0.5']

# Networks as ONNX files on Intel processors, in less time than ONNX Runtime.
OPENVINO = ['openvino>=2024.4']

# Drawing synthetic scenes; also needs the system's EGL (Debian: libegl1 libgl1-mesa-dri).
SYNTH = ['moderngl>=5.10']

# Videos as pictures of the player. PyAV is BSD; its wheels bring FFmpeg, which calls itself LGPL
# 3, and beside it libx264 and libx265, which are GPL 2: hence optional, and needed by none else.
VIDEO = ['av>=14']

# rosbag2 folders and databases; MCAP files need nothing beyond the requirements.
BAGS = ['rosbags>=0.11']

# Point clouds that others wrote (OBJ, PLY), as in SCARED. trimesh is MIT and needs NumPy only.
CLOUDS = ['trimesh>=4']

# `msdesis infer csv --ray` on several machines; 240 MB, and needed by nothing else.
RAY = ['ray>=2.9']

DEV = [
    *BAGS,
    *CLOUDS,
    *VIDEO,
    'pytest>=8',
    'pytest-timeout>=2.3',
    'pytest-xdist>=3.6',
    'hypothesis>=6.100',
    'ruff>=0.17',
    'mypy>=1.11',
    'types-PyYAML',
    'import-linter>=2.1',
    'catkin-pkg>=1.0',
    'onnx>=1.16',
]

EXTRAS = {
    'ros': ROS,
    'bags': BAGS,
    'clouds': CLOUDS,
    'video': VIDEO,
    'torch': TORCH,
    'export': EXPORT,
    'openvino': OPENVINO,
    'synth': SYNTH,
    'ray': RAY,
    'dev': DEV,
}

NODES = {
    'stereo_endoscope': 'msdesis_ros.ros.stereo_endoscope:main',
    'stereo_player': 'msdesis_ros.ros.player:main',
    'stereo_recorder': 'msdesis_ros.ros.recorder:main',
}

setup(
    name=NAME,
    version=version(),
    description='Disparity, metric depth and surface cloud of a stereo endoscope for ROS 2',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='msdesis_ros maintainers',
    author_email='maintainers@msdesis-ros.invalid',
    maintainer='msdesis_ros maintainers',
    maintainer_email='maintainers@msdesis-ros.invalid',
    license='MIT',
    python_requires='>=3.10',
    # In setup.py, not setup.cfg: colcon reads it here, and without it a colcon install lacks the
    # sub-packages.
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    # Level by level: `**` needs a newer setuptools.
    package_data={f'{NAME}.data': ['sample_files/*.json', 'sample_files/*/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml', 'LICENSE']),
        *shared_files('config', 'launch', 'models'),
        # Real files, because `install_scripts` of setup.cfg does not reach a wheel, and
        # `ros2 run` and `ros2 launch` look for executables in lib/<package> alone.
        (f'lib/{NAME}', [f'scripts/{node}' for node in NODES]),
    ],
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    entry_points={
        'console_scripts': [
            'msdesis = msdesis_ros.cli.app:main',
            *(f'{node} = {target}' for node, target in NODES.items()),
        ],
    },
    zip_safe=False,
)
