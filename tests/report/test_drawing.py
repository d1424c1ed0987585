"""How a figure's files become its image on the page."""

import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from effnet.plots.style import KEPT, draw_cells
from effnet.report.drawing import drawing
from effnet.report.output import write_figure


def chart(label="validation", values=(0.1, 0.5, 0.7)):
    figure = Figure(figsize=(6, 3))
    ax = figure.subplots()
    ax.plot(range(len(values)), values, marker="o", label=label)
    ax.plot([0, 2], [0.4, 0.4], label="_level")
    ax.bar([0, 1], [0.2, 0.3])[0].set_gid("title:a & b: 20 %")
    ax.set(xlabel="epoch", title="Made up")
    ax.tick_params(labelsize=8)
    return figure


def files_of(figure, folder):
    return {path.suffix: path.read_bytes() for path in write_figure(figure, folder, "made_up")}


def test_a_chart_is_inline_and_its_words_are_text(tmp_path):
    files = files_of(chart(), tmp_path)
    image = drawing(files, "fig20", 'A "chart"')
    assert image.markup.startswith("<svg viewBox") and "<metadata" not in image.markup
    assert 'aria-label="A &quot;chart&quot;"' in image.markup and "Made up</text>" in image.markup
    assert 450 < image.width < 620
    # Its smallest letters, of 8 points, are 9 pixels high at the narrowest.
    assert image.narrowest == pytest.approx(image.width * 0.75 * 9 / 8, abs=1)


def test_values_are_titles_of_labelled_curves_and_of_what_asks_for_one(tmp_path):
    text = files_of(chart(), tmp_path)[".svg"].decode()
    titles = re.findall(r"<title>(.*?)</title>", text)
    assert titles.count("validation, epoch 1: 0.5") == 1 and titles.count("a &amp; b: 20 %") == 1
    assert len(titles) == 4 and "points:" not in text


def test_drawing_titles_changes_nothing_of_the_figure(tmp_path):
    figure = chart()
    before = io.BytesIO()
    figure.savefig(before, format="png")
    limits = [ax.axis() for ax in figure.axes]
    write_figure(figure, tmp_path, "made_up")
    after = io.BytesIO()
    figure.savefig(after, format="png")
    assert [ax.axis() for ax in figure.axes] == limits
    assert before.getvalue() == after.getvalue()


def test_two_charts_of_a_page_share_no_id(tmp_path):
    files = files_of(chart(), tmp_path)
    ids = [re.findall(r'\bid="([^"]+)"', drawing(files, n, "x").markup) for n in ("a", "b")]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for name, known in zip(("a", "b"), ids, strict=True):
        markup = drawing(files, name, "x").markup
        assert len(known) == len(set(known))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup)) == set(known)


@pytest.mark.parametrize(
    "attack",
    [
        "<script>attacked = 1</script>",
        "<foreignObject><b>x</b></foreignObject>",
        '<image href="https://host/x.png"/>',
        '<a href="javascript:x"><text>y</text></a>',
        '<g onload="x()"/>',
    ],
)
def test_what_an_svg_does_beside_drawing_keeps_it_off_the_page(tmp_path, attack):
    files = files_of(chart(), tmp_path)
    files[".svg"] = files[".svg"].replace(b"</svg>", f"{attack}</svg>".encode())
    image = drawing(files, "fig20", "a chart")
    assert image.markup.startswith('<img src="data:image/') and attack not in image.markup
    assert drawing({".svg": files[".svg"]}, "fig20", "a chart") is None


def test_photographs_are_a_small_picture(tmp_path):
    figure = Figure(figsize=(8, 4))
    figure.subplots().imshow(np.random.default_rng(0).random((300, 600, 3)))
    files = files_of(figure, tmp_path)
    image = drawing(files, "fig12", "photographs")
    assert image.markup.startswith('<img src="data:image/webp;base64,')
    assert len(image.markup) < len(files[".png"]) / 2 and image.width <= 1200
    png = drawing({".png": files[".png"]}, "fig12", "photographs")
    assert png.markup == image.markup
    with Image.open(tmp_path / "made_up.png") as picture:
        assert picture.size[0] >= image.width


def test_cells_and_their_numbers_are_marked_for_dark_pages(tmp_path):
    """Light and dark tell values there: turned over, the caption would be wrong."""
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    draw_cells(ax, np.array([[0.1, 0.9]]))
    ax.text(0, 0, "0.1", gid=KEPT)
    ax.text(0, 0.2, "beside")
    markup = drawing(files_of(figure, tmp_path), "fig21", "cells").markup
    kept = re.findall(r'<g class="kept">(.*?)</g>', markup, re.DOTALL)
    assert markup.count('class="kept"') == 2 and "0.1</text>" in kept[1]
    assert "beside" not in "".join(kept)
