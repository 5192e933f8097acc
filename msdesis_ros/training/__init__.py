"""Losses, training loops and their configurations. Empty until the first network arrives.

May import `core`, `nets`, `data`, `evaluation` and `export`.
"""
