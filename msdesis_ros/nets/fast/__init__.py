"""`msdesis_fast`: disparity, its uncertainty and the instrument mask at a tenth of the cost.

The family's idea (one encoder, a disparity and a segmentation half) with one cost volume at 1/8 of
the picture, two cheap corrections at 1/4, and learned upsampling. Geometry in pixels stays
float32 in every precision.
"""
