"""Network modules, pure functions of tensors, and the checkpoints that fill them.

May import `core`. PyTorch is an extra: `registry`, `checkpoints` and `torch_extra` can be imported
without it and raise MissingExtraError where it is first needed; every other module here is torch.
"""
