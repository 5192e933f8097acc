"""MSDESIS: one encoder for both views, a disparity head and an instrument segmentation head.

Psychogyios et al., IEEE Transactions on Medical Imaging 2022, doi 10.1109/TMI.2022.3181229. Names
of sub-modules and quirks of the arithmetic are those of the authors' release, so that weights
trained there work here; each quirk is explained once, where it happens.
"""
