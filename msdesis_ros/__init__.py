"""Disparity, metric depth and surface cloud of a stereo endoscope, as a ROS 2 node and a command.

The rooms, and what each may import, from the top down (import-linter holds the arrows):
`cli > ros | training > evaluation | export > data | runtime > nets > core`.
Importing any module does nothing: no thread, no file, no environment variable.
"""

# The one place of the version: setup.py reads it here, and a test holds package.xml to it.
__version__ = '0.1.0'
