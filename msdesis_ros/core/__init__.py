"""Values and geometry: calibration, rectification, pairing, prediction, surface, verdicts, errors.

Knows neither ROS nor any network. May import NumPy and OpenCV, and nothing of ours.
"""
