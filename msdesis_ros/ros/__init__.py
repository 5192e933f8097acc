"""The node, its messages, parameters and transport, the player and the recorder.

The only room that knows ROS. May import `core`, `data` and `runtime`.
"""
