"""Synthetic stereo endoscope scenes with exact truth.

A `Scene` (numbers drawn from a seed) becomes an `Assembly` (meshes, materials, lights at one
time), the renderer makes two `View`s of it, `truth` turns them into disparity and masks, `effects`
into pictures. `layered` is a second, cheaper source. Both give `StereoFrame`s.
"""
