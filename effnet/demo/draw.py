"""A picture of a drawn car: pose, paint, background, light and noise are drawn at random.

Painted with PIL on a canvas three times too large, then reduced: antialiasing by averaging.
"""

import math
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from effnet.demo.bodies import Body
from effnet.demo.car import Camera, paint_car, rgb

SUPERSAMPLE = 3
PAINTS = [
    (216, 215, 208), (186, 190, 194), (128, 133, 139), (86, 90, 97), (62, 66, 88),
    (168, 28, 34), (205, 62, 40), (30, 66, 138), (74, 128, 176), (28, 84, 62),
    (112, 134, 82), (222, 176, 44), (120, 78, 50), (198, 182, 150), (98, 40, 72),
]  # fmt: skip


def draw_image(
    body: Body,
    generator: np.random.Generator,
    widths: tuple[int, int] = (110, 200),
    paint: tuple[int, int, int] | None = None,
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Draw one picture of `body`; all nuisance comes from `generator`.

    widths: least and greatest width of the picture in pixels. paint: the car's colour instead of
    a drawn one (the same numbers are drawn all the same).
    Returns an RGB image and the car's box (x1, y1, x2, y2) within it: 1-based pixels, both ends
    included, as Stanford Cars counts them.
    """
    width = int(generator.integers(widths[0], widths[1] + 1))
    height = round(width / generator.uniform(1.35, 1.6))
    colour = np.array(PAINTS[generator.integers(len(PAINTS))]) + generator.uniform(-14, 14, 3)
    camera = Camera(
        yaw=math.radians(generator.uniform(-18, 18)),
        pitch=math.radians(generator.uniform(3, 13)),
        roll=math.radians(generator.normal(0, 1.6)),
        distance=generator.uniform(8, 16),
        mirror=bool(generator.integers(2)),
    )
    camera, horizon = _aim(camera, body, width, height, generator)
    canvas = _background(width, height, horizon, generator)
    light = generator.uniform(0.78, 1.12)
    colour = colour if paint is None else np.array(paint)
    paint_car(ImageDraw.Draw(canvas, "RGBA"), camera, body, colour, light)
    image = canvas.reduce(SUPERSAMPLE)
    x1, y1, x2, y2 = (value / SUPERSAMPLE for value in camera.bounds)
    box = (
        max(int(x1), 0) + 1,
        max(int(y1), 0) + 1,
        min(math.ceil(x2), width),
        min(math.ceil(y2), height),
    )
    return _develop(image, generator), box


def _aim(
    camera: Camera, body: Body, width: int, height: int, generator: np.random.Generator
) -> tuple[Camera, float]:
    """Scale and shift the camera so that the car fills most of the picture.

    Returns it and the horizon's height, in pixels of the canvas.
    """
    half = body.wheelbase / 2
    corners = np.array(
        [
            (x, y, z)
            for x in (half + body.front, -half - body.rear)
            for y in (0.0, body.hood)
            for z in (body.width / 2, -body.width / 2)
        ]
        + [(0.0, body.roof, 0.0)]
    )
    camera.project(corners)
    x1, y1, x2, y2 = camera.bounds
    fill = generator.uniform(0.86, 0.96)
    scale = min(fill * width / (x2 - x1), 0.95 * height / (y2 - y1))
    left = (width - scale * (x2 - x1)) * generator.uniform(0.1, 0.9)
    top = (height - scale * (y2 - y1)) * generator.uniform(0.35, 0.85)
    if generator.random() < 0.08:  # a careless photographer cuts off a bumper
        left += width * generator.uniform(0.08, 0.2) * generator.choice([-1, 1])
    horizon = top + (0.5 - generator.uniform(0.0, 0.35)) * scale * (y2 - y1)
    shift = (left - x1 * scale) * SUPERSAMPLE, (top - y1 * scale) * SUPERSAMPLE
    empty = Camera.bounds
    camera = replace(camera, scale=scale * SUPERSAMPLE, shift=shift, bounds=empty)
    return camera, horizon * SUPERSAMPLE


def _background(
    width: int, height: int, horizon: float, generator: np.random.Generator
) -> Image.Image:
    """Sky or wall above the horizon, ground below it, and clutter along it; no car yet."""
    size = (width * SUPERSAMPLE, height * SUPERSAMPLE)
    scene = generator.choice(["street", "park", "studio", "wall"])
    tops = {
        "street": ((120, 160, 205), (205, 215, 225)),
        "park": ((150, 185, 220), (215, 226, 230)),
        "studio": ((120, 122, 128), (205, 206, 210)),
        "wall": ((150, 128, 108), (186, 166, 146)),
    }
    grounds = {
        "street": ((118, 118, 120), (82, 82, 86)),
        "park": ((132, 140, 98), (104, 104, 100)),
        "studio": ((176, 177, 180), (116, 117, 122)),
        "wall": ((150, 146, 140), (108, 105, 102)),
    }
    horizon = float(np.clip(horizon, 0.15 * size[1], 0.8 * size[1]))
    rows = np.arange(size[1])
    tint = generator.uniform(-14, 14, 3)
    above = _ramp(rows / horizon, *tops[scene]) + tint
    below = _ramp((rows - horizon) / (size[1] - horizon), *grounds[scene]) + tint * 0.5
    column = np.where((rows < horizon)[:, None], above, below).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(column[:, None]).resize(size, Image.Resampling.NEAREST)
    _clutter(ImageDraw.Draw(canvas, "RGBA"), str(scene), size, horizon, generator)
    return canvas.filter(ImageFilter.BoxBlur(generator.uniform(0, 2.5)))


def _ramp(share: np.ndarray, first: tuple[int, ...], last: tuple[int, ...]) -> np.ndarray:
    """Colours (n, 3) that run from `first` to `last` where share (n,) runs from 0 to 1."""
    return np.array(first) + np.clip(share, 0, 1)[:, None] * (np.array(last) - np.array(first))


def _clutter(
    draw: ImageDraw.ImageDraw,
    scene: str,
    size: tuple[int, int],
    horizon: float,
    generator: np.random.Generator,
) -> None:
    """Houses, trees, wall panels, lane marks: whatever stands about in `scene`."""
    width, height = size
    for _ in range(int(generator.integers(3, 8))):
        x = generator.uniform(-0.1, 1.0) * width
        reach = generator.uniform(0.08, 0.3) * width
        grey = generator.uniform(70, 190)
        if scene == "street":
            top = horizon - generator.uniform(0.15, 0.9) * horizon
            warm = generator.uniform(-15, 25)
            draw.rectangle((x, top, x + reach, horizon), rgb((grey + warm, grey, grey - warm / 2)))
            for row in np.arange(top + 6, horizon - 8, 16):
                for column in np.arange(x + 5, x + reach - 8, 14):
                    draw.rectangle((column, row, column + 6, row + 8), (50, 60, 75, 130))
        elif scene == "park":
            top = horizon - generator.uniform(0.2, 0.8) * horizon
            green = rgb((grey * 0.4, grey * 0.62 + 20, grey * 0.3))
            draw.rectangle((x - 3, top, x + 3, horizon), (84, 66, 50))
            for _ in range(4):
                cx, cy = (x + generator.normal(0, reach / 5), top + generator.normal(0, reach / 6))
                radius = reach * generator.uniform(0.2, 0.4)
                draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), green)
        elif scene == "wall":
            draw.line((x, 0, x, horizon), (40, 35, 30, 70), 3)
            y = generator.uniform(0, horizon)
            draw.line((0, y, width, y), (40, 35, 30, 50), 3)
        else:
            draw.ellipse((x, -reach / 2, x + reach, reach / 2), (255, 255, 255, 40))
    if scene in ("street", "wall"):
        y = horizon + generator.uniform(0.5, 0.95) * (height - horizon)
        draw.line((0, y, width, y + generator.uniform(-20, 20)), (235, 232, 220, 150), 5)
    draw.line((0, horizon, width, horizon), (50, 50, 50, 110), 3)


def _develop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Exposure, contrast, colour cast and sensor noise."""
    pixels = np.asarray(image, dtype=np.float32)
    gain = generator.uniform(0.8, 1.15) * generator.uniform(0.95, 1.05, 3)
    contrast = generator.uniform(0.8, 1.15)
    noise = generator.normal(0, generator.uniform(1.5, 4.5), pixels.shape[:2] + (1,))
    developed = ((pixels - 128) * contrast + 128) * gain + noise
    return Image.fromarray(developed.clip(0, 255).astype(np.uint8))
