"""Draws an assembly for both eyes with OpenGL, without a window: on a CPU (llvmpipe) or GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from msdesis_ros.data.closing import Closing
from msdesis_ros.data.gl_context import open_context
from msdesis_ros.data.synth import shaders
from msdesis_ros.data.synth.assembly import Assembly, Body
from msdesis_ros.data.synth.details import SLOPE_RANGE, detail_maps, surroundings_picture
from msdesis_ros.data.synth.rigs import EndoscopeRig

NEAR_MM, FAR_MM = 2.0, 900.0
SHADOW_SIDE_PX = 768
SHADOW_HALF_ANGLE = math.radians(62.0)
# How far above the surface shadows are looked up, in texels of the shadow map.
SHADOW_ABOVE = 1.6
# Colours are drawn so much larger along each side, then averaged, which makes edges smooth;
# llvmpipe's own multisampling (4 x) takes twice as long.
SUPERSAMPLING = 1.4
LIGHTS = 2
LEAST_MIRRORED = 0.25
# Positions, normals, tangents, texture coordinates, paint.
VERTEX_FORMAT = '3f 3f 3f 2f 4f'
VERTEX_NAMES = ('in_position', 'in_normal', 'in_tangent', 'in_coords', 'in_paint')
NO_GL = (
    'the renderer needs OpenGL without a window: pip install "msdesis_ros[synth]" and the system '
    'packages libegl1 and libgl1-mesa-dri (apt-get install libegl1 libgl1-mesa-dri); the layered '
    'source (--source layered) needs neither'
)


@dataclass(frozen=True, eq=False)
class View:
    """What one eye sees.

    radiance: H x W x 3 float32, linear, 1 = a white surface that faces the light at the median
    distance. depth_mm: H x W float32, NaN where there is nothing. parts, types, instruments,
    bodies: H x W uint8; bodies count from 1 in the order of the assembly, 0 = nothing.
    """

    radiance: np.ndarray
    depth_mm: np.ndarray
    parts: np.ndarray
    types: np.ndarray
    instruments: np.ndarray
    bodies: np.ndarray


class Renderer(Closing):
    """Holds the GL context, programs and frame buffers for pictures of one size.

    Use it in one thread, as a context manager or with `close`. Raises MissingExtraError where
    moderngl or a GL driver is missing. The same assembly gives the same bytes on one machine.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        gl = self._gl = open_context(NO_GL)
        gl.enable(gl.DEPTH_TEST)
        self._truth = gl.program(shaders.GEOMETRY_VERTEX, fragment_shader=shaders.TRUTH_FRAGMENT)
        self._shade = gl.program(shaders.COLOUR_VERTEX, fragment_shader=shaders.COLOUR_FRAGMENT)
        self._cast = gl.program(shaders.GEOMETRY_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        depth = gl.texture(image_size, 1, dtype='f4')
        ids = gl.texture(image_size, 4, dtype='f1')
        self._truth_buffer = gl.framebuffer([depth, ids], gl.depth_renderbuffer(image_size))
        fine = self._fine_size = tuple(math.ceil(SUPERSAMPLING * side) for side in image_size)
        self._fine_buffer = gl.framebuffer(
            [gl.renderbuffer(fine, 4, dtype='f2')], gl.depth_renderbuffer(fine)
        )
        self._shadow_maps = [self._shadow_map() for _ in range(LIGHTS)]
        self._textures: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._surroundings: dict[int, Any] = {}

    def close(self) -> None:
        """Free the context; calling it again does nothing."""
        if self._gl is not None:
            self._gl.release()
            self._gl = None

    @property
    def device(self) -> str:
        """The GL renderer's own name, e.g. llvmpipe."""
        return str(self._gl.info['GL_RENDERER'])

    def render(
        self, assembly: Assembly, rig: EndoscopeRig, *, clean: bool = False
    ) -> tuple[View, View]:
        """Draw the left and the right view.

        `clean` leaves out all light that depends on the eye: highlights, water and reflections.
        """
        left_from_world = np.linalg.inv(assembly.left_camera)
        right_from_left = np.eye(4)
        right_from_left[0, 3] = -rig.baseline_mm
        eyes = [left_from_world, right_from_left @ left_from_world]
        projection = _projection(rig)
        drawn = [self._upload(body) for body in assembly.bodies]
        try:
            truths = [self._draw_truth(drawn, eye, projection) for eye in eyes]
            casts = self._draw_shadows(drawn, assembly)
            self._set_light(assembly, truths[0][0], casts, clean=clean)
            views = []
            for eye, (depth_mm, ids) in zip(eyes, truths, strict=True):
                radiance = self._draw_colour(drawn, eye, projection)
                views.append(
                    View(radiance, depth_mm, *np.ascontiguousarray(ids.transpose(2, 0, 1)))
                )
        finally:
            for body in drawn:
                body.release()
        return views[0], views[1]

    def _upload(self, body: Body) -> _Drawn:
        mesh = body.mesh
        vertices = np.concatenate(
            [mesh.positions, mesh.normals, mesh.tangents, mesh.coords, mesh.paint], axis=1
        )
        buffer = self._gl.buffer(np.ascontiguousarray(vertices, np.float32))
        faces = self._gl.buffer(np.ascontiguousarray(mesh.faces, np.int32))
        content = [(buffer, VERTEX_FORMAT, *VERTEX_NAMES)]
        place = [(buffer, '3f 48x', 'in_position')]
        return _Drawn(
            body,
            buffer,
            faces,
            truth=self._gl.vertex_array(self._truth, place, faces),
            cast=self._gl.vertex_array(self._cast, place, faces),
            shade=self._gl.vertex_array(self._shade, content, faces),
            maps=self._maps_of(body.material.detail, body.material.detail_seed),
        )

    def _maps_of(self, detail: str, seed: int) -> tuple[Any, Any]:
        key = (detail, seed)
        if key not in self._textures:
            self._textures[key] = tuple(
                self._texture(picture) for picture in detail_maps(detail, seed)
            )
        return self._textures[key]

    def _texture(self, picture: np.ndarray) -> Any:
        height, width, channels = picture.shape
        kind = 'f1' if picture.dtype == np.uint8 else 'f4'
        texture = self._gl.texture((width, height), channels, picture.tobytes(), dtype=kind)
        texture.build_mipmaps()
        texture.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
        return texture

    def _shadow_map(self) -> tuple[Any, Any]:
        texture = self._gl.depth_texture((SHADOW_SIDE_PX, SHADOW_SIDE_PX))
        texture.compare_func = '<='
        texture.filter = (self._gl.LINEAR, self._gl.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        return texture, self._gl.framebuffer(depth_attachment=texture)

    def _draw_truth(
        self, drawn: list[_Drawn], eye: np.ndarray, projection: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        buffer, (width, height) = self._truth_buffer, self.image_size
        buffer.use()
        buffer.clear()
        _set_view(self._truth, eye, projection)
        for number, body in enumerate(drawn, start=1):
            what = body.body
            ids = (what.part, what.tool_type, what.instrument, number)
            self._truth['ids'].value = tuple(value / 255.0 for value in ids)
            _set_matrix(self._truth, 'body_pose', what.pose)
            body.truth.render()
        depth = np.frombuffer(buffer.read(components=1, dtype='f4'), np.float32)
        ids = np.frombuffer(buffer.read(components=4, attachment=1), np.uint8)
        depth_mm = depth.reshape(height, width).copy()
        depth_mm[depth_mm == 0] = np.nan
        return depth_mm, ids.reshape(height, width, 4)

    def _draw_shadows(self, drawn: list[_Drawn], assembly: Assembly) -> list[np.ndarray]:
        """Draw each light's depth map; returns its matrices from the world to the map."""
        matrices = []
        cot = 1.0 / math.tan(SHADOW_HALF_ANGLE)
        lens = _depth_rows(np.diag([cot, cot, 0.0, 0.0]))
        world_from_left = assembly.left_camera
        for light, (_, buffer) in zip(assembly.lights, self._shadow_maps, strict=True):
            pose = world_from_left.copy()
            pose[:3, 3] += world_from_left[:3, :3] @ np.array(light.position_mm)
            eye = np.linalg.inv(pose)
            buffer.use()
            buffer.clear()
            _set_view(self._cast, eye, lens)
            for body in drawn:
                _set_matrix(self._cast, 'body_pose', body.body.pose)
                body.cast.render()
            matrices.append(lens @ eye)
        return matrices

    def _set_light(
        self,
        assembly: Assembly,
        depth_mm: np.ndarray,
        casts: list[np.ndarray],
        *,
        clean: bool,
    ) -> None:
        seen = depth_mm[np.isfinite(depth_mm)]
        reference_mm = float(np.median(seen)) if seen.size else 100.0
        pose, total = assembly.left_camera, sum(light.power for light in assembly.lights)
        places = [pose @ np.array([*light.position_mm, 1.0]) for light in assembly.lights]
        colours = [
            [math.pi * channel * light.power / total for channel in light.colour]
            for light in assembly.lights
        ]
        program = self._shade
        program['light_place'].value = [tuple(place[:3]) for place in places]
        program['light_colour'].value = [tuple(colour) for colour in colours]
        program['light_cone'].value = [light.cone for light in assembly.lights]
        program['axis'].value = tuple(pose[:3, 2])
        program['reference_mm'].value = reference_mm
        program['bounced'].value = tuple(
            assembly.ambient * channel for channel in assembly.surroundings
        )
        # Metal mirrors lit tissue from all sides even where little of that light is thrown about.
        program['mirror_gain'].value = max(1.0, LEAST_MIRRORED / max(assembly.ambient, 1e-3))
        program['clean'].value = clean
        stacked = np.stack([np.ascontiguousarray(matrix.T) for matrix in casts])
        program['shadow_from_world'].write(stacked.astype(np.float32).tobytes())
        program['shadow'].value = [3, 4]
        program['shadow_soft'].value = 1.0 / SHADOW_SIDE_PX
        program['shadow_texel'].value = (
            SHADOW_ABOVE * 2 * math.tan(SHADOW_HALF_ANGLE) / SHADOW_SIDE_PX
        )
        program['detail'].value, program['relief'].value = 0, 1
        if 'surroundings' in program:
            program['surroundings'].value = 2
        for unit, (texture, _) in enumerate(self._shadow_maps, start=3):
            texture.use(unit)
        self._surroundings_of(assembly.surroundings_seed).use(2)

    def _surroundings_of(self, seed: int) -> Any:
        if seed not in self._surroundings:
            self._surroundings[seed] = self._texture(surroundings_picture(seed))
        return self._surroundings[seed]

    def _draw_colour(
        self, drawn: list[_Drawn], eye: np.ndarray, projection: np.ndarray
    ) -> np.ndarray:
        width, height = self._fine_size
        buffer = self._fine_buffer
        buffer.use()
        buffer.clear()
        # Depth first, so that only what is seen is shaded.
        buffer.color_mask = (False,) * 4
        _set_view(self._cast, eye, projection)
        for body in drawn:
            _set_matrix(self._cast, 'body_pose', body.body.pose)
            body.cast.render()
        buffer.color_mask = (True,) * 4
        self._gl.depth_func = '<='
        _set_view(self._shade, eye, projection)
        self._shade['eye'].value = tuple(np.linalg.inv(eye)[:3, 3])
        for body in drawn:
            self._set_material(body)
            body.shade.render()
        self._gl.depth_func = '<'
        pixels = np.frombuffer(buffer.read(components=4, dtype='f2'), np.float16)
        fine = pixels.reshape(height, width, 4)[..., :3].astype(np.float32)
        return cv2.resize(fine, self.image_size, interpolation=cv2.INTER_AREA)

    def _set_material(self, drawn: _Drawn) -> None:
        program, material = self._shade, drawn.body.material
        _set_matrix(program, 'body_pose', drawn.body.pose)
        for name in ('colour', 'second_colour', 'vessel_colour'):
            program[name].value = getattr(material, name)
        for name in (
            'tile_mm', 'mottle', 'vessels', 'metallic', 'roughness', 'anisotropy', 'wetness',
            'translucency',
        ):  # fmt: skip
            program[name].value = getattr(material, name)
        # The relief map holds slopes of a tile of unit side and unit height.
        program['bump'].value = 2 * SLOPE_RANGE * material.bump_mm / material.tile_mm
        for unit, texture in enumerate(drawn.maps):
            texture.use(unit)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A body on the GPU."""

    body: Body
    vertices: Any
    faces: Any
    truth: Any
    cast: Any
    shade: Any
    maps: tuple[Any, Any]

    def release(self) -> None:
        for held in (self.truth, self.cast, self.shade, self.vertices, self.faces):
            held.release()


def _projection(rig: EndoscopeRig) -> np.ndarray:
    """Pixel (x, y), centres at whole numbers, to the frame buffer's column and row."""
    width, height = rig.image_size
    lens = np.zeros((4, 4))
    lens[0, 0], lens[0, 2] = 2 * rig.focal_px / width, 2 * (rig.cx_px + 0.5) / width - 1
    lens[1, 1], lens[1, 2] = 2 * rig.focal_px / height, 2 * (rig.cy_px + 0.5) / height - 1
    return _depth_rows(lens)


def _depth_rows(lens: np.ndarray) -> np.ndarray:
    """Add the rows that give GL its depth, and w = z."""
    lens[2] = [0, 0, (FAR_MM + NEAR_MM) / (FAR_MM - NEAR_MM), 0]
    lens[2, 3] = -2 * FAR_MM * NEAR_MM / (FAR_MM - NEAR_MM)
    lens[3] = [0, 0, 1, 0]
    return lens


def _set_view(program: Any, eye: np.ndarray, projection: np.ndarray) -> None:
    _set_matrix(program, 'eye_from_world', eye)
    _set_matrix(program, 'projection', projection)


def _set_matrix(program: Any, name: str, matrix: np.ndarray) -> None:
    program[name].write(np.ascontiguousarray(matrix.T, np.float32).tobytes())
