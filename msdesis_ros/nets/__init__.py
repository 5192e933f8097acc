"""Network modules as pure functions of tensors. Empty until the first network arrives.

May import `core`.
"""
