"""What tests of figures share: their words, and whether a reader could read them."""

import csv
import itertools
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

SOURCE = "made-up runs of a test"


def texts(figure):
    """Every word that a figure shows."""
    found = [t.get_text() for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))]
    return "\n".join(found)


def rows_of(run):
    """metrics.csv without the package's reader."""
    with open(Path(run["path"]) / "metrics.csv") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def assert_legible(figure):
    """Nothing is cut off, tick labels of an axis do not overlap, no type is tiny."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # places everything
    renderer, page = canvas.get_renderer(), figure.bbox
    ticks = {id(t) for ax in figure.axes for a in (ax.xaxis, ax.yaxis) for t in labels_of(a)}
    ticks |= {id(a.label) for ax in figure.axes if not ax.axison for a in (ax.xaxis, ax.yaxis)}
    drawn = [t for ax in figure.axes for a in (ax.xaxis, ax.yaxis) for t in labels_of(a, True)]
    for text in figure.findobj(match=lambda a: hasattr(a, "get_fontsize")):
        if text.get_visible() and text.get_text().strip() and id(text) not in ticks:
            drawn.append(text)
    for text in drawn:
        box = text.get_window_extent(renderer)
        where = f"{text.get_text()!r} at {box} of {page}"
        assert text.get_fontsize() >= 6, where
        assert box.x0 > page.x0 - 3 and box.x1 < page.x1 + 3, where
        assert box.y0 > page.y0 - 3 and box.y1 < page.y1 + 3, where
    for ax in figure.axes:
        for axis, low, high in ((ax.xaxis, "x0", "x1"), (ax.yaxis, "y0", "y1")):
            boxes = [text.get_window_extent(renderer) for text in labels_of(axis, True)]
            boxes.sort(key=lambda box: getattr(box, low))
            for first, second in itertools.pairwise(boxes):
                assert getattr(first, high) <= getattr(second, low) + 1.5, texts(figure)


def assert_apart(figure):
    """No words within a panel lie on others."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    words = [(text.get_text(), text.get_window_extent(canvas.get_renderer()))
             for ax in figure.axes for text in ax.texts if text.get_text()]  # fmt: skip
    for (one, a), (other, b) in itertools.combinations(words, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one, other)


def labels_of(axis, drawn=False):
    """Tick labels of an axis; `drawn` leaves out those beyond its limits."""
    low, high = sorted(axis.get_view_interval())
    shown = axis.axes.axison and axis.axes.get_visible()
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if not drawn
        or (shown and low <= tick.get_loc() <= high and tick.label1.get_visible())
        and tick.label1.get_text()
    ]
