"""Images of figures as a page holds them: charts as SVG whose text is text, photographs as WebP."""

import base64
import io
import re
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree

from markupsafe import Markup
from PIL import Image

RASTERS = 30_000  # characters of embedded pictures, above which an SVG is photographs
HEAVY = 160_000  # characters of an SVG, above which its picture is lighter
WIDEST = 1200  # pixels of a picture on the page
QUALITY = 75  # of WebP
READABLE = 9.0  # CSS pixels that the smallest letters of a chart have on the narrowest screen
PIXELS = 96 / 72  # CSS pixels in a point
REFERENCE = re.compile(r'(xlink:href="#|url\(#)([^")]+)')
# What matplotlib draws with; anything else in a file is not its own, and is not let into a page.
KNOWN = set(
    "svg defs g path use text tspan clipPath rect image title linearGradient stop metadata style "
    "pattern circle line polyline polygon".split()
)
RDF = ("{http://www.w3.org/1999/02/22-rdf", "{http://creativecommons", "{http://purl.org/dc")
FONT_SIZE = re.compile(r"font-size: ([\d.]+)px")
# Hundredths of a point are finer than any screen; words keep their digits.
PLACES = re.compile(r'\b(?:d|x|y|cx|cy|width|height|transform|points)="[^"]*"')
DIGITS = re.compile(r"(\.\d\d)\d+")
# What every chart repeats, and the page's own style says once.
COMMON = (
    re.compile(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<!--.*?-->\s*", re.DOTALL),
    re.compile(r"<metadata>.*?</metadata>\s*|<style\b.*?</style>\s*", re.DOTALL),
    re.compile(r" font-family: [^;\"]*;| transform=\"rotate\(-?0 [^\"]*\""),
)


@dataclass(frozen=True)
class Drawing:
    """An image on the page.

    Attributes:
        markup: an `<svg>` or an `<img>`, with its alternative text.
        width: its natural width in CSS pixels.
        narrowest: the width below which its letters are too small; 0 where it has none as text.
    """

    markup: Markup
    width: int
    narrowest: int


def drawing(files: dict[str, bytes], name: str, alt: str) -> Drawing | None:
    """The image of a figure from its files by suffix (".svg", ".png"); None without any.

    `name` is unique on the page: the ids within an SVG begin with it.
    """
    svg = files.get(".svg", b"").decode("utf-8")
    svg = svg if svg and _harmless(svg) else ""
    photographs = sum(len(part) for part in re.findall(r"base64,([^\"]+)", svg)) > RASTERS
    if svg and ".png" in files and (photographs or len(svg) > HEAVY):
        return _picture(files[".png"], alt)
    if svg:
        return _chart(svg, name, alt)
    return _picture(files[".png"], alt) if ".png" in files else None


def _chart(svg: str, name: str, alt: str) -> Drawing:
    for part in COMMON:
        svg = part.sub("", svg)
    head, body = re.match(r"\s*(<svg\b[^>]*>)(.*)", svg, re.DOTALL).groups()  # type: ignore[union-attr]
    used = {match[2] for match in REFERENCE.finditer(body)}
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = REFERENCE.sub(lambda m: f"{m[1]}{name}-{m[2]}", body)
    body = PLACES.sub(lambda m: DIGITS.sub(r"\1", m[0]), body)
    body = re.sub(r"\n\s*", "\n", body).replace("xlink:href", "href")
    box = re.search(r'viewBox="([^"]*)"', head)[1]  # type: ignore[index]
    width, height = (float(number) for number in box.split()[2:])
    sizes = [float(size) for size in FONT_SIZE.findall(body)]
    smallest = min(sizes, default=0.0)
    label = escape(alt, quote=True)
    opening = f'<svg viewBox="{box}" role="img" aria-label="{label}">'
    narrowest = round(width * READABLE / smallest) if smallest else 0
    return Drawing(Markup(opening + body), round(width * PIXELS), narrowest)


def _harmless(svg: str) -> bool:
    """Whether an SVG draws and does nothing else: no script, no foreign page, no other address."""
    for element in ElementTree.fromstring(svg).iter():
        if element.tag.startswith(RDF):
            continue  # the record of who made it, which no page gets
        name = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
        links = [v for k, v in element.attrib.items() if k.rpartition("}")[2] == "href"]
        if name not in KNOWN or any(key.lower().startswith("on") for key in element.attrib):
            return False
        if any(not link.startswith(("#", "data:image/png;base64,")) for link in links):
            return False
    return True


def _picture(content: bytes, alt: str) -> Drawing:
    """A PNG as WebP, no wider than a page shows it, where that is smaller."""
    with Image.open(io.BytesIO(content)) as picture:
        whole = picture.convert("RGB")
    shown = whole.copy()
    shown.thumbnail((WIDEST, WIDEST * 4))
    out = io.BytesIO()
    shown.save(out, "WEBP", quality=QUALITY, method=4)
    kind, best = min(("webp", out.getvalue()), ("png", content), key=lambda pair: len(pair[1]))
    data = base64.b64encode(best).decode()
    tag = (
        f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt, quote=True)}" '
        f'width="{shown.width}" height="{shown.height}" decoding="async">'
    )
    return Drawing(Markup(tag), shown.width, 0)
