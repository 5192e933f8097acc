"""Reading and writing: pictures, calibration files, point clouds, MCAP, the procedural sample.

May import `core`. It is a sibling of `runtime`: neither imports the other.
"""
