"""From a checkpoint to the file that deploys. Empty until the first network arrives.

May import `core`, `nets` and `runtime`.
"""
