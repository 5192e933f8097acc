"""Losses, augmentations, training loops and their configurations.

May import `core`, `nets`, `data`, `evaluation` and `export`.
"""
