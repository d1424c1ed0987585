"""Pages of a report in a headless Chromium, driven as a reader drives them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from browser import ALONE, CHROMIUM
from playwright.sync_api import Browser, Page, sync_playwright

# Elements that reach beyond the window, other than what scrolls in a box of its own.
WIDE = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body *")].filter((e) =>
    !e.closest(".scroll, .plot, pre, .unseen, dialog, .jp-OutputArea-child, math, .skip") &&
    e.getBoundingClientRect().right > width + 1).map((e) => e.outerHTML.slice(0, 99));
}"""
# The height of letters in charts, in CSS pixels, smallest first.
LETTERS = """() => [...document.querySelectorAll(".plot > svg")].flatMap((svg) => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll("text")].map((t) =>
    parseFloat(getComputedStyle(t).fontSize) * scale);
}).sort((a, b) => a - b)"""


@dataclass
class Opened:
    """A page that is open, and what it did that it should not.

    Attributes:
        page: playwright's.
        requests: addresses that it asked for, other than files and data within it.
        said: what it wrote to the console, and errors that nobody caught.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def wide(self) -> list[str]:
        """What reaches beyond the window."""
        return self.page.evaluate(WIDE)

    @property
    def letters(self) -> list[float]:
        """Sizes of the letters in charts, smallest first."""
        return self.page.evaluate(LETTERS)

    def violations(self) -> list[str]:
        """What axe-core finds fault with: rule, and the first element that breaks it."""
        found = Axe().run(self.page).response["violations"]
        return [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in found]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, which reaches no host."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, path: Path, width: int = 1280, dark: bool = False, scripts: bool = True
) -> Iterator[Opened]:
    """A file in a window of that width, 800 pixels high."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    seen = Opened(context.new_page())
    own = ("file:", "data:", "blob:", "about:")
    seen.page.on(
        "request", lambda r: None if r.url.startswith(own) else seen.requests.append(r.url)
    )
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.goto(path.as_uri())
    try:
        yield seen
    finally:
        context.close()
