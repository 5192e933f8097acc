"""Anatomy of a synthetic scene: its numbers, drawn at random, and bodies made of them."""

from msdesis_ros.data.synth.anatomy.build import build_anatomy, surface_of
from msdesis_ros.data.synth.anatomy.description import AnatomyScene
from msdesis_ros.data.synth.anatomy.sampling import sample_anatomy

__all__ = ['AnatomyScene', 'build_anatomy', 'sample_anatomy', 'surface_of']
