"""Pages of executed notebooks: their code, their outputs, and the way from one to the next."""

import re

import nbformat
import pandas as pd
import pytest
from browser import ALONE, CHROMIUM, probe
from report_site import PIXEL, Page, broken_links

from effnet.report.markup import aligned
from effnet.report.notebooks import TEMPLATES, export_notebooks

NAMES = ["00_first", "01_second", "02_third"]
FIRST = "value = compute()  # a first line that is longer than a narrow window is wide"
CODE = f"{FIRST}\nvalue.show()\n" + "a_name + " * 40 + "1"
TABLE = pd.DataFrame(
    {"class": ["a long name of a class", "another"], "share (%)": [12.5, 100.0], "gain": [-1, None]}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three executed notebooks, and between them one that cannot be read."""
    reports = tmp_path_factory.mktemp("reports")
    notebooks = reports / "notebooks"
    notebooks.mkdir()
    for number, name in enumerate(NAMES):
        code = nbformat.v4.new_code_cell(CODE, metadata={"tags": [f"fig{number}"]})
        wide = pd.DataFrame([["text with spaces"] * 30])
        for one in (TABLE, wide):
            html = {"text/html": one.to_html(index=False), "text/plain": "a table"}
            code.outputs.append(nbformat.v4.new_output("display_data", html))
        code.outputs.append(nbformat.v4.new_output("stream", text="a line of output " * 30))
        code.outputs.append(nbformat.v4.new_output("stream", text="x" * 900))
        code.outputs.append(nbformat.v4.new_output("display_data", {"image/png": PIXEL}))
        cells = [nbformat.v4.new_markdown_cell(f"# {number} A <title> & more\n\n# Another"), code]
        cells.append(nbformat.v4.new_code_cell("1"))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / f"{name}.ipynb")
    (notebooks / "01_between.ipynb").write_text("{}")
    (reports / "index.html").write_text("<!DOCTYPE html><title>Report</title>")
    exported, damaged = export_notebooks(reports)
    assert list(exported) == NAMES and exported["00_first"] == {"fig0"} and len(damaged) == 1
    return notebooks


def test_pages_lead_to_the_report_and_to_each_other(folder):
    report = "../index.html"
    for name, links in (
        ("00_first", [report, "01_second.html"]),
        ("01_second", ["00_first.html", report, "02_third.html"]),
        ("02_third", ["01_second.html", report]),
    ):
        page = folder / f"{name}.html"
        assert Page(page).links == links * 2, "at the top and at the bottom"
        assert broken_links(page) == []
    text = (folder / "01_second.html").read_text()
    assert "← 0 A &lt;title&gt; &amp; more</a>" in text and "2 A &lt;title&gt; &amp; more →" in text
    assert "<title>1 A &lt;title&gt; &amp; more</title>" in text


def test_code_is_folded_under_its_first_line(folder):
    text = (folder / "00_first.html").read_text()
    assert text.count('<details class="code">') == 2 and "<details open" not in text
    assert f"<summary><span><code>{FIRST}</code><span>3 lines</span></span>" in text
    assert "<summary><span><code>1</code></span></summary>" in text


def test_the_pages_have_the_reports_colours(folder):
    css = (TEMPLATES / "report.css").read_text()
    dark = css[css.index("prefers-color-scheme: dark") :]
    text = (folder / "00_first.html").read_text()
    for line in (css.splitlines()[1], dark.splitlines()[2]):
        assert "--paper: #" in line and line in text


def test_columns_of_numbers_are_set_to_the_right_with_their_heads():
    page = aligned(TABLE.to_html(index=False))
    assert page.count('<th class="number">') == 2 and '<th class="number">share (%)</th>' in page
    assert page.count('<td class="number">') == 4 and "<td>another</td>" in page
    assert ">class</th>" in page and 'class="number">class' not in page
    named = aligned(TABLE.set_index("class")._repr_html_())
    assert named.count("<tr") == 3 and re.search(
        r"<th>class</th>\s*<th class=\"number\">share", named
    )
    spanning = '<table><tr><td colspan="2">1</td></tr><tr><td>1</td><td>2</td></tr></table>'
    assert aligned(spanning) == spanning
    words = "<table><tr><th>n</th></tr><tr><td>7</td></tr><tr><td>none</td></tr></table>"
    assert aligned(words) == words


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_a_page_fits_its_window(folder, tmp_path, width, dark):
    seen = probe(folder / "01_second.html", width, tmp_path, dark)
    assert seen["problems"] == [] and seen["unseen"] == 0 and seen["images"] == 1
    assert seen["wide"] == [] and seen["scroll"] <= width


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_text_wraps_and_heads_stand_over_their_columns(folder):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        page = browser.new_page(viewport={"width": 360, "height": 800})
        page.goto((folder / "01_second.html").as_uri())
        assert not page.locator(".highlight").first.is_visible()
        page.locator("summary").first.click()
        assert page.locator(".highlight").first.is_visible()
        wide = "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
        assert page.locator("pre:visible").evaluate_all(wide) == 0
        right = "all => all.map(e => [e.innerText, getComputedStyle(e).textAlign])"
        aligned = page.locator("table").first.locator("th, td").evaluate_all(right)
        browser.close()
    for text, side in aligned:
        is_number = text in ("share (%)", "gain") or text[-1:].isdigit() or text == "NaN"
        assert side == ("right" if is_number else "left"), text
