"""GLSL of the renderer. Frames: world (mm) in, one pinhole eye out; see `assembly.Material`.

Lighting model: two point lights at the endoscope's tip with inverse-square falloff, a diffuse
body with wrapped light (a cheap stand-in for light that spreads below the surface), a
microfacet highlight (GGX after Walter et al. 2007; anisotropic as Burley 2012), a film of water
above it, and one bounce from a picture of the surroundings.
"""

from __future__ import annotations

# Location of the vertices in the eye: rows run downwards as in a picture, so nothing is flipped.
GEOMETRY_VERTEX = """
#version 330
uniform mat4 body_pose;
uniform mat4 eye_from_world;
uniform mat4 projection;
in vec3 in_position;
invariant gl_Position;
void main() {
    vec4 world = body_pose * vec4(in_position, 1.0);
    gl_Position = projection * (eye_from_world * world);
}
"""

# w is the depth along the optical axis, and gl_FragCoord.w its inverse, interpolated exactly.
TRUTH_FRAGMENT = """
#version 330
uniform vec4 ids;
layout(location = 0) out float depth_mm;
layout(location = 1) out vec4 out_ids;
void main() {
    depth_mm = 1.0 / gl_FragCoord.w;
    out_ids = ids;
}
"""

SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

COLOUR_VERTEX = """
#version 330
uniform mat4 body_pose;
uniform mat4 eye_from_world;
uniform mat4 projection;
uniform mat4 shadow_from_world[2];
uniform vec3 light_place[2];
uniform float shadow_texel;
in vec3 in_position;
in vec3 in_normal;
in vec3 in_tangent;
in vec2 in_coords;
in vec4 in_paint;
centroid out vec3 place;
centroid out vec3 normal;
centroid out vec3 tangent;
centroid out vec2 coords;
centroid out vec4 paint;
centroid out vec4 in_shadow[2];
invariant gl_Position;
void main() {
    vec4 world = body_pose * vec4(in_position, 1.0);
    place = world.xyz;
    normal = mat3(body_pose) * in_normal;
    tangent = mat3(body_pose) * in_tangent;
    coords = in_coords;
    paint = in_paint;
    for (int i = 0; i < 2; ++i) {
        // A texel above the surface, on the light's side, so that it does not shade itself.
        vec3 ray = light_place[i] - place;
        vec3 above = normal * (sign(dot(normal, ray)) * shadow_texel * length(ray));
        in_shadow[i] = shadow_from_world[i] * vec4(place + above, 1.0);
    }
    gl_Position = projection * (eye_from_world * world);
}
"""

COLOUR_FRAGMENT = """
#version 330
uniform vec3 eye;
uniform vec3 axis;
uniform vec3 light_place[2];
uniform vec3 light_colour[2];
uniform float light_cone[2];
uniform float reference_mm;
uniform vec3 bounced;
uniform float mirror_gain;
uniform float shadow_soft;
uniform bool clean;
uniform vec3 colour;
uniform vec3 second_colour;
uniform vec3 vessel_colour;
uniform float tile_mm, mottle, vessels, bump, metallic, roughness, anisotropy, wetness;
uniform float translucency;
uniform sampler2D detail;
uniform sampler2D relief;
uniform sampler2D surroundings;
uniform sampler2DShadow shadow[2];
centroid in vec3 place;
centroid in vec3 normal;
centroid in vec3 tangent;
centroid in vec2 coords;
centroid in vec4 paint;
centroid in vec4 in_shadow[2];
out vec4 radiance;

const float PI = 3.14159265;
const vec3 BLOOD = vec3(0.12, 0.004, 0.006);
const vec3 CHAR = vec3(0.018, 0.012, 0.009);

// How much of a light reaches the surface: four look-ups, each filtered over 2 x 2 pixels.
float lit(int i) {
    vec3 at = in_shadow[i].xyz / in_shadow[i].w * 0.5 + 0.5;
    bool outside = any(lessThan(at.xy, vec2(0.0))) || any(greaterThan(at.xy, vec2(1.0)));
    if (in_shadow[i].w <= 0.0 || outside) return 1.0;
    at.z -= 0.0006;
    float sum = 0.0;
    for (int corner = 0; corner < 4; ++corner) {
        vec2 aside = (vec2(corner & 1, corner >> 1) * 2.0 - 1.0) * shadow_soft;
        vec3 there = at + vec3(aside, 0.0);
        sum += i == 0 ? texture(shadow[0], there) : texture(shadow[1], there);
    }
    return sum * 0.25;
}

// Anisotropic GGX times masking, over 4 (n.l)(n.v); ax along the tangent t.
float highlight(vec3 n, vec3 t, vec3 b, vec3 l, vec3 v, vec2 a) {
    vec3 h = normalize(l + v);
    float nh = max(dot(n, h), 0.0);
    vec3 m = vec3(dot(t, h) / a.x, dot(b, h) / a.y, nh);
    float mm = dot(m, m);
    float d = 1.0 / (PI * a.x * a.y * mm * mm);
    float k = 0.5 * max(a.x, a.y);
    float nl = max(dot(n, l), 1e-3), nv = max(dot(n, v), 1e-3);
    return d / (4.0 * (nl * (1.0 - k) + k) * (nv * (1.0 - k) + k));
}

vec3 fresnel(vec3 f0, float c) { return f0 + (1.0 - f0) * pow(1.0 - clamp(c, 0.0, 1.0), 5.0); }

vec3 around(vec3 direction, float blur) {
    vec2 at = vec2(atan(direction.x, direction.z) / (2.0 * PI) + 0.5,
                   acos(clamp(direction.y, -1.0, 1.0)) / PI);
    return textureLod(surroundings, at, blur * 5.0).rgb;
}

void main() {
    vec3 v = normalize(eye - place);
    vec3 n = normalize(normal);
    // Membranes have two sides.
    if (dot(n, v) < 0.0) n = -n;
    vec3 t = normalize(tangent - dot(tangent, n) * n);
    vec3 b = cross(n, t);

    vec2 at = coords / tile_mm;
    // In a finer raster than the picture's, whose lens and sensor blur half a level more.
    vec4 fine = texture(detail, at, 0.9);
    vec4 slope = texture(relief, at, 0.9);
    float coarse = texture(detail, at * 0.27 + 0.37).r;
    vec2 tilt = (slope.xy - 0.5) * bump;
    vec3 film = normalize(n - 0.55 * (t * tilt.x + b * tilt.y));
    n = normalize(n - t * tilt.x - b * tilt.y);

    float blotch = (fine.r - 0.5) * 1.6 + (coarse - 0.5) * 1.4;
    float share = clamp(paint.x + mottle * blotch, 0.0, 1.0);
    vec3 albedo = mix(colour, second_colour, share);
    albedo *= 1.0 + mottle * (fine.g - 0.5) * 0.9;
    albedo = mix(albedo, vessel_colour, clamp(vessels * fine.b, 0.0, 1.0));
    float bloody = smoothstep(0.35, 0.65, paint.y + (fine.r - 0.5) * 0.5 + (coarse - 0.5) * 0.4)
        * smoothstep(0.0, 0.12, paint.y);
    float charred = smoothstep(0.4, 0.7, paint.z + (fine.g - 0.5) * 0.6)
        * smoothstep(0.0, 0.12, paint.z);
    // Thick blood is darker; what it covers is no metal any more.
    vec3 blood = BLOOD * mix(1.2, 0.45, smoothstep(0.45, 1.0, paint.y));
    float covered = 1.0 - (1.0 - bloody * 0.93) * (1.0 - charred * 0.95);
    float metal = metallic * (1.0 - covered);
    vec3 f0 = mix(mix(vec3(0.04), albedo, metallic), vec3(0.022), covered);
    vec3 body = mix(mix(albedo * (1.0 - metallic), blood, bloody * 0.93), CHAR, charred * 0.95);
    float wet = max(wetness, bloody * 0.8) * (1.0 - 0.7 * charred);
    float rough = mix(roughness, 0.8, bloody);
    rough = mix(rough, rough * (0.75 + 0.5 * fine.g), mottle);
    float open = paint.w;
    // Light that comes out of a fold has met red tissue more than once.
    body = pow(body, 1.0 + (1.0 - open) * vec3(-0.10, 0.25, 0.30));

    // Without light that depends on the eye, metal is a matt grey.
    if (clean) body += f0 * metal;
    float alpha = max(rough * rough, 0.004);
    float brushed = anisotropy * metal;
    vec2 a = vec2(alpha * (1.0 + 3.0 * brushed), alpha / (1.0 + 1.5 * brushed));
    a = clamp(a, vec2(0.004), vec2(1.0));
    float water = mix(0.30, 0.10, wet);
    vec3 wrap = translucency * vec3(0.35, 0.12, 0.10);
    vec3 sum = vec3(0.0);
    for (int i = 0; i < 2; ++i) {
        vec3 ray = light_place[i] - place;
        float far = length(ray);
        vec3 l = ray / far;
        float beam = pow(max(-dot(l, axis), 0.0), light_cone[i]);
        vec3 power = light_colour[i] * (beam * reference_mm * reference_mm / (far * far));
        float seen = lit(i);
        float nl = dot(n, l);
        vec3 spread = clamp((nl + wrap) / (1.0 + wrap), 0.0, 1.0);
        // Light below the surface reaches into the edge of a shadow, red farthest.
        vec3 soft = mix(vec3(seen), vec3(1.0), wrap * 0.4);
        sum += power * soft * spread * body / PI * mix(0.6, 1.0, open);
        if (!clean && seen > 0.0) {
            float lv = max(dot(normalize(l + v), v), 0.0);
            float lit_here = max(nl, 0.0) * seen;
            sum += power * lit_here * highlight(n, t, b, l, v, a) * fresnel(f0, lv) * open;
            if (wet > 0.0) {
                float film_nl = max(dot(film, l), 0.0) * seen;
                sum += power * wet * film_nl * fresnel(vec3(0.03), lv)
                    * highlight(film, t, b, l, v, vec2(water * water));
            }
        }
    }
    vec3 scene = bounced * open;
    sum += scene * body;
    if (!clean) {
        float nv = max(dot(n, v), 0.0);
        // Tissue is too rough to show a picture of what is around it.
        vec3 mirrored = vec3(0.45);
        if (metallic > 0.0 || wetness > 0.9)
            mirrored = around(reflect(-v, n), min(rough * 1.4, 1.0));
        float gain = mix(1.0, mirror_gain, metal) * mix(1.0, 0.35, rough * (1.0 - metal));
        sum += scene * mirrored * PI * fresnel(f0, nv) * gain;
    }
    // Half floats end at 65504; a mirrored light may be brighter.
    radiance = vec4(min(sum, vec3(60000.0)), 1.0);
}
"""
