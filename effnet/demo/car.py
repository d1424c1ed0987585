"""The drawn car itself: a side profile, extruded, turned, projected and painted back to front."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from effnet.demo.bodies import Body

TYRE, CHROME, PLASTIC, GLASS = (26, 26, 28), (196, 199, 203), (48, 49, 52), (52, 64, 76)
TRIM = {"black": (22, 22, 24), "white": (240, 240, 238), "silver": CHROME}
TAIL_LAMP, HEAD_LAMP, PLATE = (176, 22, 28), (238, 240, 232), (228, 228, 220)


@dataclass
class Camera:
    """A pinhole camera that looks at the car; `bounds` grows with every point of the car."""

    yaw: float  # radians; positive turns the front to the camera, negative the rear
    pitch: float  # radians; how far it looks down
    roll: float  # radians
    distance: float  # metres
    mirror: bool  # the car faces left
    scale: float = 1.0  # pixels a metre
    shift: tuple[float, float] = (0.0, 0.0)  # pixels
    bounds: tuple[float, float, float, float] = (math.inf, math.inf, -math.inf, -math.inf)

    def project(self, points: np.ndarray, is_car: bool = True) -> list[tuple[float, float]]:
        """Points (n, 3) in metres to n pixels of the canvas."""
        x, y, z = points[:, 0], points[:, 1] - 0.7, points[:, 2]
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x, z = x * cos - z * sin, x * sin + z * cos
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        y, z = y * cos - z * sin, y * sin + z * cos
        factor = self.distance / (self.distance - z)
        u, v = x * factor * (-1 if self.mirror else 1), -y * factor
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        u, v = u * cos - v * sin, u * sin + v * cos
        u, v = u * self.scale + self.shift[0], v * self.scale + self.shift[1]
        if is_car:
            x1, y1, x2, y2 = self.bounds
            self.bounds = (min(x1, u.min()), min(y1, v.min()), max(x2, u.max()), max(y2, v.max()))
        return list(zip(u.tolist(), v.tolist(), strict=True))


def paint_car(
    draw: ImageDraw.ImageDraw, camera: Camera, body: Body, paint: np.ndarray, light: float
) -> None:
    """Paint `body` in the colour `paint` (3,), 0 to 255; `light` is the side's brightness."""
    painter = _Painter(draw, camera, body, paint, light)
    painter.shadow()
    painter.wheels(near=False)
    painter.top()
    painter.end(front=True)
    painter.end(front=False)
    painter.side()
    painter.windows()
    painter.details()
    painter.wheels(near=True)


def rgb(colour: np.ndarray | tuple[float, ...], gain: float = 1.0) -> tuple[int, ...]:
    """A colour for PIL, `gain` times as bright."""
    return tuple(int(min(max(value * gain, 0), 255)) for value in colour)


class _Painter:
    """One car on one canvas: knows where each part lies and how bright it is."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, camera: Camera, body: Body, paint: np.ndarray, light: float
    ) -> None:
        self.draw, self.camera, self.body = draw, camera, body
        self.paint, self.light = paint, light
        self.axle = body.wheelbase / 2
        self.nose_x, self.tail_x = self.axle + body.front, -self.axle - body.rear
        self.cowl_x = self.axle - body.cowl
        self.roof_x1 = self.cowl_x - body.rake
        self.deck_x = self.tail_x + body.boot
        self.roof_x2 = self.deck_x + body.backlight
        self.profile, self.parts = self._profile()

    def _profile(self) -> tuple[np.ndarray, list[str]]:
        """Outline (n, 2) from the front bumper over the roof to the rear; its segments' parts."""
        b = self.body
        corners = [
            (self.nose_x - 0.06, b.clearance, "paint"),
            (self.nose_x, b.clearance + 0.25, "paint"),
            (self.nose_x - 0.07, b.nose, "paint"),
            (self.cowl_x, b.hood, "windscreen"),
            (self.roof_x1, b.roof - 0.03, "roof"),
            ((self.roof_x1 + self.roof_x2) / 2, b.roof, "roof"),
            (self.roof_x2, b.roof - 0.05, "rear window"),
            (self.deck_x, b.deck, "bed" if b.bed else "paint"),
            (self.tail_x + 0.04, b.tail, "paint"),
            (self.tail_x, b.clearance + 0.3, "paint"),
            (self.tail_x + 0.06, b.clearance + 0.04, "paint"),
        ]
        points, parts = [corners[0][:2]], []
        for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
            tip, into, out = (np.array(c[:2]) for c in (corner, before, after))
            to_into, to_out = np.linalg.norm(into - tip), np.linalg.norm(out - tip)
            start = tip + (into - tip) * min(b.rounding / to_into, 0.45)
            stop = tip + (out - tip) * min(b.rounding / to_out, 0.45)
            parts.append(before[2])
            for t in (0.0, 0.25, 0.5, 0.75, 1.0):  # a quadratic Bezier curve rounds the corner
                points.append((1 - t) ** 2 * start + 2 * t * (1 - t) * tip + t**2 * stop)
            parts += [before[2] if before[2] == corner[2] else "paint"] * 4
        points.append(corners[-1][:2])
        parts.append("paint")
        return np.array(points), parts

    def half_width(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The body's half width: it narrows towards both ends and towards the roof."""
        b = self.body
        from_end = np.minimum(self.nose_x - x, x - self.tail_x).clip(0, 0.6)
        rise = ((y - b.belt) / (b.roof - b.belt)).clip(0, 1)
        return b.width / 2 * (1 - 0.13 * (1 - from_end / 0.6) ** 2) - 0.17 * rise

    def on_side(self, xy, out: float = 0.0, near: bool = True) -> list[tuple[float, float]]:
        """Points (n, 2) of the side view on the car's near (or far) flank, in pixels."""
        xy = np.asarray(xy, dtype=float)
        z = self.half_width(xy[:, 0], xy[:, 1]) + out
        return self.camera.project(np.column_stack([xy, z if near else -z]))

    def line(self, xy, colour: tuple[int, ...], metres: float, out: float = 0.0) -> None:
        """A line on the flank, `metres` thick."""
        width = max(1, round(metres * self.camera.scale))
        self.draw.line(self.on_side(xy, out), colour, width, joint="curve")

    def shadow(self) -> None:
        """A soft shadow on the ground: some faint layers, each smaller than the last."""
        for grow in (0.35, 0.25, 0.16, 0.08, 0.0):
            x1, x2 = self.tail_x - grow * 0.7, self.nose_x + grow * 0.7
            z = self.body.width / 2 + grow - 0.12
            ground = [(x1, 0, -z), (x2, 0, -z), (x2, 0, z), (x1, 0, z)]
            points = self.camera.project(np.array(ground, dtype=float), is_car=False)
            self.draw.polygon(points, (8, 9, 12, 52))

    def top(self) -> None:
        """Bumper, hood, windscreen, roof and rear: the strips between the two flanks."""
        strips = list(zip(self.profile, self.profile[1:], self.parts, strict=False))
        if self.camera.yaw > 0:  # the far end first
            strips.reverse()
        painted = []
        for start, stop, part in strips:
            run, rise = start - stop
            up = run / math.hypot(run, rise)
            gain = self.light * (0.72 + 0.36 * max(up, 0))
            colour = self.trim(self.body.roof_trim) if part == "roof" else self.paint
            painted.append((start, stop, 0.0, rgb(colour, gain)))
            if part == "windscreen" or part == "rear window":
                inset = start + (stop - start) * 0.06, stop + (start - stop) * 0.1
                painted.append((*inset, 0.09, rgb(GLASS, self.light * (0.9 + 0.75 * up))))
            elif part == "bed":
                painted.append((start, stop, 0.09, rgb(PLASTIC, self.light)))
        self.strips(*zip(*painted, strict=True))

    def strips(self, a, b, inset: tuple[float, ...], colours: tuple[tuple[int, ...], ...]) -> None:
        """Quadrangles over the car's width between points a and b (n, 2) of the side view."""
        corners = np.stack([a, b, b, a], axis=1)  # all at once: a third of a picture's time
        z = self.half_width(corners[..., 0], corners[..., 1]) - np.array(inset)[:, None]
        z[:, 2:] *= -1  # back along the far flank
        pixels = self.camera.project(np.concatenate([corners, z[..., None]], axis=2).reshape(-1, 3))
        u, v = np.moveaxis(np.reshape(pixels, (-1, 4, 2)), 2, 0)
        area = np.sum(u * np.roll(v, -1, axis=1) - np.roll(u, -1, axis=1) * v, axis=1)
        for index, colour in enumerate(colours):
            if (area[index] > 0) != self.camera.mirror:  # else it faces away
                self.draw.polygon(pixels[4 * index : 4 * index + 4], colour)

    def end(self, front: bool) -> None:
        """Lamps, grille and plate, where that end of the car is turned to the camera."""
        b = self.body
        x = self.nose_x - 0.02 if front else self.tail_x + 0.01
        half = float(self.half_width(np.array(x), np.array(b.nose)))
        edge = np.array([(x, 0.5, half), (x, 0.5, -half)])
        (u1, _), (u2, _) = self.camera.project(edge, is_car=False)
        if (u2 > u1) != front ^ self.camera.mirror:
            return

        def patch(z1: float, z2: float, y1: float, y2: float, colour: tuple[int, ...]) -> None:
            corners = [(x, y1, z1), (x, y1, z2), (x, y2, z2), (x, y2, z1)]
            self.draw.polygon(self.camera.project(np.array(corners)), colour)

        top = (b.nose if front else b.tail) - 0.07
        low = top - b.lamp_height
        lamp = min(b.lamp_length, half * 0.55)
        colour = rgb(HEAD_LAMP if front else TAIL_LAMP, max(self.light, 0.9))
        if front:
            patch(-half + lamp + 0.08, half - lamp - 0.08, low - 0.02, top, rgb(PLASTIC, 0.8))
            patch(-half * 0.7, half * 0.7, b.clearance + 0.04, b.clearance + 0.15, rgb(PLASTIC))
        patch(-0.26, 0.26, low - 0.16, low - 0.05, PLATE)
        for sign in (-1, 1):
            if b.round_lamps:
                angle = np.linspace(0, 2 * math.pi, 16)
                radius = b.lamp_height / 2 + 0.03
                z = sign * (half - radius - 0.05) + radius * np.cos(angle)
                y = (top + low) / 2 + radius * np.sin(angle)
                points = np.column_stack([np.full_like(z, x), y, z])
                self.draw.polygon(self.camera.project(points), colour)
            else:
                patch(sign * (half - lamp), sign * (half - 0.02), low, top, colour)

    def side(self) -> None:
        """The near flank, its lower part in shade, the light along the shoulder."""
        b = self.body
        sill = [(self.tail_x + 0.06, b.clearance), (self.nose_x - 0.06, b.clearance)]
        outline = np.concatenate([self.profile, sill])
        self.draw.polygon(self.on_side(outline), rgb(self.paint, self.light * 0.9))
        x1, x2 = self.tail_x + 0.03, self.nose_x - 0.03
        for height in (0.24, 0.4):
            low = [(x1, b.clearance), (x2, b.clearance)]
            high = [(x2, b.clearance + height), (x1, b.clearance + height)]
            self.draw.polygon(self.on_side(low + high), (0, 0, 0, 26))
        if b.cladding:
            top = b.clearance + b.cladding
            bottom = b.clearance - 0.02  # covers the edge of the paint
            band = [(x1, bottom), (x2, bottom), (x2, top), (x1, top)]
            self.draw.polygon(self.on_side(band), rgb(PLASTIC, self.light))
        if b.stripe != "paint":
            middle = b.clearance + 0.55 * (b.belt - b.clearance)
            ends = [(self.tail_x + 0.12, middle + 0.03), (self.nose_x - 0.12, middle - 0.03)]
            self.line(ends, rgb(self.trim(b.stripe), self.light), 0.17)
        if b.roof_trim != "paint":
            above = self.profile[self.profile[:, 1] > b.belt + 0.04]
            above = above[(above[:, 0] < self.cowl_x) & (above[:, 0] > self.tail_x + 0.02)]
            self.draw.polygon(self.on_side(above), rgb(self.trim(b.roof_trim), self.light))
        shoulder = [
            (self.nose_x - 0.3, b.nose - 0.1),
            (self.tail_x + 0.15, self.belt_at(-1) - 0.12),
        ]
        self.line(shoulder, (255, 255, 255, 60), 0.05)

    def trim(self, name: str) -> np.ndarray:
        """A colour of TRIM, or the car's paint."""
        return self.paint if name == "paint" else np.array(TRIM[name])

    def belt_at(self, x: float) -> float:
        """Height of the window line at x."""
        share = (self.cowl_x - x) / max(self.cowl_x - self.deck_x, 0.1)
        return self.body.belt + self.body.kick * min(max(share, 0), 1)

    def windows(self) -> None:
        """Side windows: one dark shape between the pillars, split into panes."""
        b = self.body
        top = b.roof - 0.11

        def edge(y: float, rear: bool) -> tuple[float, float]:
            if rear:
                share = (max(y, b.deck) - b.deck) / (b.roof - b.deck)
                return self.deck_x + (self.roof_x2 - self.deck_x) * share + b.pillar, y
            share = (max(y, b.hood) - b.hood) / (b.roof - b.hood)
            return self.cowl_x + (self.roof_x1 - self.cowl_x) * share - 0.14, y

        low = np.array([edge(b.belt, False), edge(b.belt + b.kick, True)])
        high = np.array([edge(top, False), edge(top - 0.02, True)])
        self.draw.polygon(
            self.on_side([low[0], high[0], high[1], low[1]]), rgb(GLASS, self.light * 0.85)
        )

        def across(share: float, lean: float = 0.0) -> list[np.ndarray]:
            return [
                low[0] + (low[1] - low[0]) * share,
                high[0] + (high[1] - high[0]) * (share + lean),
            ]

        glare = across(0.18, 0.1) + across(0.34, 0.1)[::-1]
        self.draw.polygon(self.on_side(glare), (255, 255, 255, 38))
        seam = (0, 0, 0, 90)
        for pane in range(1, b.panes):
            foot, head = across(pane / b.panes)
            self.line([foot, head], rgb(self.trim(b.roof_trim), self.light * 0.62), 0.07)
            if pane <= 2:
                self.line([foot, (foot[0], b.clearance + 0.12)], seam, 0.018)
                handle = (foot[0] + 0.1, foot[1] - 0.1), (foot[0] + 0.26, foot[1] - 0.1)
                self.line(handle, rgb(self.paint, self.light * 0.55), 0.035)
        self.line([low[0], (low[0][0], b.clearance + 0.12)], seam, 0.018)

    def details(self) -> None:
        """Lamps that reach round the corner, the mirror, the roof rails."""
        b = self.body
        ends = [
            (self.nose_x - 0.04, -1, b.nose, HEAD_LAMP),
            (self.tail_x + 0.03, 1, b.tail, TAIL_LAMP),
        ]
        for x, inwards, height, colour in ends:
            length = inwards * b.lamp_length * (0.35 if b.round_lamps else 0.6)
            y2, y1 = height - 0.08, height - 0.08 - b.lamp_height
            lamp = [(x, y1), (x, y2), (x + length, y2 + 0.02), (x + length * 0.7, y1 + 0.02)]
            self.draw.polygon(self.on_side(lamp), rgb(colour, max(self.light, 0.9)))
        x, y = self.cowl_x - 0.3, b.belt + 0.02
        mirror = [(x, y), (x + 0.16, y + 0.02), (x + 0.12, y + 0.13), (x, y + 0.13)]
        self.draw.polygon(self.on_side(mirror, 0.12), rgb(self.paint, self.light * 0.75))
        if b.rails:
            y = b.roof + 0.05
            foot1, foot2 = (
                (self.roof_x1 - 0.2, b.roof - 0.03),
                (self.roof_x2 + 0.1, b.roof - 0.05),
            )
            rail = [foot1, (foot1[0] - 0.1, y), (foot2[0] + 0.1, y), foot2]
            self.line(rail, rgb(PLASTIC, self.light), 0.045)

    def wheels(self, near: bool) -> None:
        """The near wheels with their arches and rims, or what shows of all others below."""
        b = self.body
        circle = np.linspace(0, 2 * math.pi, 28, endpoint=False)
        ring = np.column_stack([np.cos(circle), np.sin(circle)])
        for x in (-self.axle, self.axle):
            hub = np.array([x, b.wheel])
            if not near:
                for out, side in ((-0.05, False), (-0.22, True), (-0.1, True)):
                    self.draw.polygon(self.on_side(hub + ring * b.wheel, out, side), TYRE)
                continue
            arch = hub + ring[:15] * (b.wheel + 0.06)
            self.draw.polygon(self.on_side(arch), (18, 18, 20))
            self.draw.polygon(self.on_side(hub + ring * b.wheel, 0.01), TYRE)
            rim = b.wheel * b.rim
            self.draw.polygon(self.on_side(hub + ring * rim, 0.01), rgb(TRIM[b.rims], self.light))
            # The gaps between the spokes, three corners each.
            middles = (np.arange(b.spokes) + 0.5) / b.spokes * 2 * math.pi
            angles = middles[:, None] + np.array([-0.32, 0.32, 0.0]) * 2 * math.pi / b.spokes
            reach = np.array([0.86, 0.86, 0.3]) * rim
            gaps = hub + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=2)
            corners = self.on_side(gaps.reshape(-1, 2), 0.01)
            for first in range(0, len(corners), 3):
                self.draw.polygon(corners[first : first + 3], (62, 63, 66))
