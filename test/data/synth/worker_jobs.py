"""Jobs for the tests, in a module that worker processes can import."""

from __future__ import annotations

import os

import cv2


def first_pixel(source, index):
    """The colour of a frame's first pixel."""
    return source.frame(index).left[0, 0].tolist()


def settings(source, index):
    """How many threads the libraries of a worker have."""
    source.frame(index)
    return {'cv2': cv2.getNumThreads(), 'LP_NUM_THREADS': os.environ['LP_NUM_THREADS']}
