"""Parametric surgical instruments: draw them for a scene, then build them at any time.

`sample_instruments` draws descriptions (plain numbers, JSON-able); `build_instruments` turns them
into bodies for the renderer.
"""

from msdesis_ros.data.synth.instruments.build import build_instruments
from msdesis_ros.data.synth.instruments.description import InstrumentScene, Wave
from msdesis_ros.data.synth.instruments.sampling import sample_instruments

__all__ = ['InstrumentScene', 'Wave', 'build_instruments', 'sample_instruments']
