"""Layered scenes: the cheap 2-D source of stereo pairs, with exact truth.

A `Recipe` (numbers from a seed) becomes `Shape`s (border, disparity), `light` falls on them,
`tissue`, `patterns` and `tool_colours` colour them, and `composition` shows the `Layer`s to both
eyes and tells what each hides from the other. Needs no OpenGL.
"""

from msdesis_ros.data.synth.layered.source import LayeredSource

__all__ = ['LayeredSource']
