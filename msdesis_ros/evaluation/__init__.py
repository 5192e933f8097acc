"""Metrics and published protocols. Empty until the first protocol arrives.

May import `core`, `data` and `runtime`.
"""
