"""Metrics and published protocols; docs/evaluation.md defines the figures.

May import `core`, `data` and `runtime`.
"""
