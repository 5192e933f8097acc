"""Lens, obscurants and sensor of a stereo endoscope: from linear radiance to 8-bit pictures.

Each module holds one effect: its settings (frozen, JSON-able), how they are drawn, and the
function that applies them. `settings` puts them together, `apply` runs them in their order. Every
effect returns its input itself where its strength is zero. `distortion` makes unrectified views.
"""
