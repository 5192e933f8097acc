"""Pictures and videos of clouds and meshes, seen by a camera that circles the endoscope.

Only `renderer` draws, and only it needs OpenGL; everything before it is plain geometry.
"""
