"""The page as readers use it, in the system's Chromium; skipped where there is none."""

import re

import pytest
from browser import CHROMIUM
from pages import chromium, opened
from report_site import make_site

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("reports") / "demo")


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(site, browser):
    """The page in a wide window; it asked nobody for anything and said nothing."""
    with opened(browser, site / "index.html") as seen:
        yield seen.page
        assert seen.requests == [] and seen.said == []


def top(page, selector):
    return page.locator(selector).first.bounding_box()["y"]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_too_wide_too_small_or_out_of_reach(site, browser, width, dark):
    with opened(browser, site / "index.html", width, dark) as seen:
        assert seen.wide == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.letters and seen.letters[0] >= 8.99
        seen.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        assert seen.violations() == [] and seen.wide == []
        assert seen.requests == [] and seen.said == []


def test_run_pages_are_no_worse(site, browser):
    for file in (next(site.glob("runs/*/index.html")), *site.glob("notebooks/*.html")):
        for dark in (False, True):
            with opened(browser, file, 360, dark) as seen:
                assert seen.wide == [] and seen.requests == [] and seen.said == []
                if file.name == "index.html":
                    assert seen.violations() == []


def test_the_contents_show_the_place(page):
    page.evaluate("document.getElementById('s6.2.2').scrollIntoView()")
    page.wait_for_function("document.querySelector('nav [aria-current]').hash === '#s6.2.2'")
    assert page.locator("nav ol ol a:visible").count() > 5  # of chapter 6, and of no other
    assert page.locator("nav a[href='#s2.1']:visible").count() == 0
    page.locator("nav a[href='#s2']").click()
    page.wait_for_function("document.querySelector('nav [aria-current]').hash === '#s2'")
    assert page.locator("nav a[href='#s2.1']:visible").count() == 1


@pytest.mark.parametrize("width", [360, 1280])
def test_a_permalink_leads_to_what_it_names(site, browser, width):
    """Also where that is folded, and not under the bar that stays on top."""
    with opened(browser, site / "index.html", width) as seen:
        bar = seen.page.locator(".page > nav")
        for place in ("C071", "X06", "fig20", "s6.1", "fig-agreement".removeprefix("fig-")):
            seen.page.evaluate(f"location.hash = '#{place}'")
            seen.page.wait_for_timeout(50)
            box = seen.page.locator(f"[id='{place}']").bounding_box()
            under = bar.bounding_box()["height"] if width < 1000 else 0
            assert box and under - 1 <= box["y"] < 800 and box["height"] > 0, place
        assert seen.page.locator("figure#fig20 .title a[href='#fig20']").is_visible()


def test_claims_are_found_by_verdict_and_by_word(page):
    dots = page.locator("a.dot")
    assert dots.count() == 155
    page.locator("button.pick.differs").click()
    assert page.locator("a.dot:not(.dim)").count() == 1
    page.locator("button.pick.differs").click()
    assert page.locator("a.dot:not(.dim)").count() == 155
    page.fill("#find", "savana")
    found = page.locator("#hits a")
    assert 0 < found.count() < 12 and "claims" in page.inner_text("#shown")
    href = found.first.get_attribute("href")
    found.first.click()
    assert page.locator(f"[id='{href[1:]}']").is_visible()


def test_claims_are_folded_to_a_line(page):
    fold = page.locator("details.fold:has(#C071)")
    line = fold.locator("summary")
    assert re.fullmatch(r"Here: \d+ claims: \d+ [a-z].*", line.inner_text())
    assert not page.locator("#C071").is_visible()
    line.press("Enter")  # by the keyboard
    assert page.locator("#C071").is_visible()


def test_the_runs_are_sorted_and_searched(page):
    def column(number):
        cells = page.locator(f"table.runs tbody tr:visible td:nth-child({number})")
        return [float(text) for text in cells.all_inner_texts() if text != "–"]

    assert column(3) == sorted(column(3), reverse=True)  # best first
    head = page.locator("table.runs th:nth-child(7) button")
    head.click()
    assert column(7) == sorted(column(7), reverse=True)
    head.click()
    assert column(7) == sorted(column(7))
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Dropout")
    every = page.locator("table.runs tbody tr:visible").count()
    page.fill("#find-run", "grayscale 0.3")
    assert 0 < page.locator("table.runs tbody tr:visible").count() < every
    assert f"of {every} runs" in page.inner_text("#shown-runs")


def test_a_figure_opens_large_and_is_dragged_about(page):
    page.locator("#fig20 a.zoom").click()
    pan = page.locator("#large .pan")
    assert page.locator("#large").is_visible()
    small = page.locator("#fig20 .plot > svg").bounding_box()["width"]
    assert pan.locator("svg").bounding_box()["width"] > small
    box = pan.bounding_box()
    page.set_viewport_size({"width": 400, "height": 500})
    box = pan.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 60)
    page.mouse.up()
    assert pan.evaluate("(e) => e.scrollLeft") > 100
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()


def test_a_curve_says_its_values_and_its_words_are_text(page):
    titles = page.locator("#fig20 .points circle > title").all_text_contents()
    assert "made up, at 2: 4" in titles
    assert page.locator("#fig20 svg text", has_text="made up for a test").count() == 1


def test_paper_has_everything(page, site):
    pdf = page.pdf(format="A4")
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    page.emulate_media(media="print")
    for place in ("C071", "X06", "fig20"):
        assert page.locator(f"[id='{place}']").bounding_box()["height"] > 0, place
    assert not page.locator("nav").is_visible()


def test_without_scripts_it_is_a_document(site, browser):
    with opened(browser, site / "index.html", scripts=False) as seen:
        assert seen.page.locator("#fig20 svg").is_visible()
        assert not seen.page.locator("#find").is_visible()
        seen.page.locator("details.fold:has(#C071) summary").click()
        assert seen.page.locator("#C071").is_visible()
        assert seen.page.locator("nav a[href='#s2.1']").is_visible()


def test_dark_figures_do_not_glare(site, browser):
    """The mean brightness of a chart's box, of 255."""
    import io

    from PIL import Image, ImageStat

    means = {}
    for dark in (False, True):
        with opened(browser, site / "index.html", dark=dark) as seen:
            picture = seen.page.locator("#fig20 .plot").screenshot()
            grey = Image.open(io.BytesIO(picture)).convert("L")
            means[dark] = ImageStat.Stat(grey).mean[0]
    assert means[False] > 200 and means[True] < 70, means
