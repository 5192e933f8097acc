"""Draws clouds, meshes and what stands around them with OpenGL, without a window."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.closing import Closing
from msdesis_ros.data.cloud_view import shaders
from msdesis_ros.data.cloud_view.solids import Lines, Solid
from msdesis_ros.data.gl_context import open_context

NEAR_M, FAR_M = 0.002, 10.0
# Drawn so much larger along each side, then averaged, which makes edges smooth.
SUPERSAMPLING = 2
# Twice that is what every driver can draw at once.
LARGEST_PX = 4096
TOP_COLOUR, BOTTOM_COLOUR = (46, 50, 58), (18, 19, 22)
# The picture's colours hold the endoscope's light already; a little more shows the shape.
MESH_SHADING, SOLID_SHADING = 0.25, 0.8
NO_GL = (
    'pictures of a surface need OpenGL without a window: pip install "msdesis_ros[synth]" and the '
    'system packages libegl1 and libgl1-mesa-dri (apt-get install libegl1 libgl1-mesa-dri); '
    'clouds and meshes are written without it when neither a video nor a still is asked for'
)


@dataclass
class _Drawn:
    """Something on the GPU: its vertex array, how it is drawn, and the buffers to free."""

    array: Any
    mode: int
    program: Any
    uniforms: dict[str, float] = field(default_factory=dict)
    held: tuple[Any, ...] = ()

    def release(self) -> None:
        for thing in (self.array, *self.held):
            thing.release()


class CloudRenderer(Closing):
    """Holds a GL context and what is to be drawn, for pictures of one size (width, height).

    What is shown stays until it is replaced by the same name. Use it in one thread, as a context
    manager or with `close`. Raises MissingExtraError where moderngl or a GL driver is missing,
    UsageError for a size that cannot be.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        if min(image_size) < 1 or max(image_size) > LARGEST_PX:
            raise UsageError(
                f'a view of {image_size[0]}x{image_size[1]} px cannot be drawn; both sides must '
                f'be 1 to {LARGEST_PX} px'
            )
        self.image_size = image_size
        gl = self._gl = open_context(NO_GL)
        self._points = gl.program(shaders.POINT_VERTEX, fragment_shader=shaders.POINT_FRAGMENT)
        self._solids = gl.program(shaders.SOLID_VERTEX, fragment_shader=shaders.SOLID_FRAGMENT)
        self._lines = gl.program(shaders.LINE_VERTEX, fragment_shader=shaders.LINE_FRAGMENT)
        fine = self._fine_size = tuple(SUPERSAMPLING * side for side in image_size)
        self._buffer = gl.framebuffer([gl.renderbuffer(fine, 4)], gl.depth_renderbuffer(fine))
        self._shown: dict[str, _Drawn] = {}
        self._backdrop = self._make_backdrop()

    def close(self) -> None:
        """Free the context; calling it again does nothing."""
        if self._gl is not None:
            self._gl.release()
            self._gl = None

    def show_points(
        self,
        points_m: np.ndarray,
        colours: np.ndarray,
        widths_m: np.ndarray,
        *,
        scale: float = 1.0,
        name: str = 'surface',
    ) -> None:
        """points_m: N x 3 float32. colours: N x 3 uint8 RGB. widths_m: N float32, `scale` times
        which a point is wide.
        """
        content = (_floats(points_m), _floats(colours / 255.0), _floats(widths_m[:, None]))
        buffer = self._gl.buffer(np.hstack(content).tobytes())
        array = self._gl.vertex_array(
            self._points, [(buffer, '3f 3f 1f', 'in_position', 'in_colour', 'in_width')]
        )
        uniforms = {'scale': scale, 'least_px': float(SUPERSAMPLING)}
        self._replace(name, _Drawn(array, self._gl.POINTS, self._points, uniforms, held=(buffer,)))

    def show_mesh(self, mesh: SurfaceMesh, *, name: str = 'surface') -> None:
        """A surface in its picture's colours, darker from behind."""
        self._show_triangles(name, mesh, shading=MESH_SHADING, gloss=0.0)

    def show_solid(self, solid: Solid, *, name: str) -> None:
        """A body of plain colours."""
        self._show_triangles(name, solid, shading=SOLID_SHADING, gloss=0.25)

    def show_lines(self, lines: Lines, *, name: str) -> None:
        """Thin lines."""
        buffer = self._gl.buffer(
            np.hstack([_floats(lines.points_m), _floats(lines.colours / 255.0)]).tobytes()
        )
        array = self._gl.vertex_array(self._lines, [(buffer, '3f 3f', 'in_position', 'in_colour')])
        self._replace(name, _Drawn(array, self._gl.LINES, self._lines, held=(buffer,)))

    def hide(self, name: str) -> None:
        """Show that thing no more; nothing happens where it is not shown."""
        before = self._shown.pop(name, None)
        if before is not None:
            before.release()

    def draw(self, world_from_view: np.ndarray, *, focal_px: float) -> np.ndarray:
        """Draw what is shown: H x W x 3 uint8 RGB.

        world_from_view: 4 x 4, rigid; the view's optical frame has x right, y down, z forward, and
        its principal point in the middle of the picture: a point at (x, y, z) of it appears at
        column (width - 1) / 2 + focal_px x / z, and so for rows.
        """
        gl, (width, height) = self._gl, self._fine_size
        self._buffer.use()
        self._buffer.clear()
        gl.enable_only(gl.PROGRAM_POINT_SIZE)
        self._backdrop.render(gl.TRIANGLES)
        gl.enable(gl.DEPTH_TEST)
        view = np.linalg.inv(world_from_view)
        lens = _projection(self.image_size, focal_px)
        for drawn in self._shown.values():
            program = drawn.program
            program['view_from_world'].write(_gl_matrix(view))
            program['projection'].write(_gl_matrix(lens))
            if 'focal_px' in program:
                program['focal_px'].value = SUPERSAMPLING * focal_px
            for uniform, value in drawn.uniforms.items():
                program[uniform].value = value
            drawn.array.render(drawn.mode)
        pixels = np.frombuffer(self._buffer.read(components=3, alignment=1), np.uint8)
        fine = pixels.reshape(height, width, 3)
        return cv2.resize(fine, self.image_size, interpolation=cv2.INTER_AREA)

    def _make_backdrop(self) -> Any:
        program = self._gl.program(
            shaders.BACKDROP_VERTEX, fragment_shader=shaders.BACKDROP_FRAGMENT
        )
        program['top'].value = tuple(channel / 255.0 for channel in TOP_COLOUR)
        program['bottom'].value = tuple(channel / 255.0 for channel in BOTTOM_COLOUR)
        corners = np.array([[-1, -1], [3, -1], [-1, 3]], np.float32)
        buffer = self._gl.buffer(corners.tobytes())
        return self._gl.vertex_array(program, [(buffer, '2f', 'in_corner')])

    def _show_triangles(
        self, name: str, body: SurfaceMesh | Solid, *, shading: float, gloss: float
    ) -> None:
        content = (_floats(body.points_m), _floats(body.normals), _floats(body.colours / 255.0))
        buffer = self._gl.buffer(np.hstack(content).tobytes())
        faces = self._gl.buffer(np.ascontiguousarray(body.faces, np.int32).tobytes())
        layout = [(buffer, '3f 3f 3f', 'in_position', 'in_normal', 'in_colour')]
        array = self._gl.vertex_array(self._solids, layout, faces)
        uniforms = {'shading': shading, 'gloss': gloss}
        self._replace(
            name, _Drawn(array, self._gl.TRIANGLES, self._solids, uniforms, held=(buffer, faces))
        )

    def _replace(self, name: str, drawn: _Drawn) -> None:
        self.hide(name)
        self._shown[name] = drawn


def focal_of_view(image_size: tuple[int, int], view_angle_deg: float) -> float:
    """The focal length, px, at which the shorter side of a picture spans the view angle."""
    if not 0 < view_angle_deg < 180:
        raise UsageError(
            f'the view angle is {view_angle_deg:g} degrees; expected more than 0, less than 180'
        )
    return min(image_size) / 2 / math.tan(math.radians(view_angle_deg) / 2)


def _projection(image_size: tuple[int, int], focal_px: float) -> np.ndarray:
    width, height = image_size
    lens = np.zeros((4, 4))
    lens[0, 0], lens[1, 1] = 2 * focal_px / width, 2 * focal_px / height
    lens[2] = [0, 0, (FAR_M + NEAR_M) / (FAR_M - NEAR_M), -2 * FAR_M * NEAR_M / (FAR_M - NEAR_M)]
    lens[3] = [0, 0, 1, 0]
    return lens


def _floats(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def _gl_matrix(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix.T, np.float32).tobytes()
