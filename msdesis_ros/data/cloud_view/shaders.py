"""GLSL of the views. Positions are metres in an optical frame: x right, y down, z forward.

The projection puts the picture's first row at the bottom of GL's frame buffer, whose rows are read
from the bottom: the picture comes out upright.
"""

from __future__ import annotations

# A point is as wide as the pixel it came from, seen from here, and at least `least_px`.
POINT_VERTEX = """
#version 330
uniform mat4 view_from_world;
uniform mat4 projection;
uniform float focal_px;
uniform float scale;
uniform float least_px;
in vec3 in_position;
in vec3 in_colour;
in float in_width;
out vec3 colour;
void main() {
    vec4 at = view_from_world * vec4(in_position, 1.0);
    gl_Position = projection * at;
    gl_PointSize = max(least_px, scale * in_width * focal_px / max(at.z, 1e-4));
    colour = in_colour;
}
"""

POINT_FRAGMENT = """
#version 330
in vec3 colour;
out vec4 pixel;
void main() {
    pixel = vec4(colour, 1.0);
}
"""

SOLID_VERTEX = """
#version 330
uniform mat4 view_from_world;
uniform mat4 projection;
in vec3 in_position;
in vec3 in_normal;
in vec3 in_colour;
out vec3 colour;
out vec3 normal;
out vec3 place;
void main() {
    vec4 at = view_from_world * vec4(in_position, 1.0);
    gl_Position = projection * at;
    place = at.xyz;
    normal = mat3(view_from_world) * in_normal;
    colour = in_colour;
}
"""

# `shading` 0 shows the colours as they are: a picture carries its own light.
SOLID_FRAGMENT = """
#version 330
uniform float shading;
uniform float gloss;
in vec3 colour;
in vec3 normal;
in vec3 place;
out vec4 pixel;
void main() {
    vec3 eye = normalize(-place);
    float facing = dot(normalize(normal), eye);
    // From behind a surface shows its back, darker.
    float lit = facing >= 0.0 ? facing : -0.45 * facing;
    float bright = mix(1.0, lit, shading);
    pixel = vec4(colour * bright + gloss * pow(max(facing, 0.0), 24.0), 1.0);
}
"""

# One triangle that covers the whole picture, behind everything: a quiet gradient.
BACKDROP_VERTEX = """
#version 330
in vec2 in_corner;
out float down;
void main() {
    gl_Position = vec4(in_corner, 0.0, 1.0);
    down = 0.5 + 0.5 * in_corner.y;
}
"""

BACKDROP_FRAGMENT = """
#version 330
uniform vec3 top;
uniform vec3 bottom;
in float down;
out vec4 pixel;
void main() {
    pixel = vec4(mix(top, bottom, down), 1.0);
}
"""

LINE_VERTEX = """
#version 330
uniform mat4 view_from_world;
uniform mat4 projection;
in vec3 in_position;
in vec3 in_colour;
out vec3 colour;
void main() {
    gl_Position = projection * view_from_world * vec4(in_position, 1.0);
    colour = in_colour;
}
"""

LINE_FRAGMENT = """
#version 330
in vec3 colour;
out vec4 pixel;
void main() {
    pixel = vec4(colour, 1.0);
}
"""
