"""The README's picture of a report: `python -m effnet.report.example reports/demo`.

Opens the page in a headless Chromium and writes its first screen as reports/example.png.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image

from effnet.errors import EffnetError, command_line
from effnet.files import atomic_write
from effnet.paths import REPORTS, relative
from effnet.trial import resolve

WIDTH, HEIGHT = 1280, 1400  # CSS pixels
MOST = 250_000  # bytes of a picture that is committed
COLOURS = (256, 128, 64, 32)  # of its palette: the most that fit
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def take(page: Path, target: Path) -> int:
    """Write the first screen of an HTML file as a PNG of at most 250 kB; returns its bytes.

    Raises EffnetError where the page, playwright or Chromium is missing, and where no palette
    makes the picture small enough; CannotWrite.
    """
    if not page.is_file():
        raise EffnetError(f"{relative(page)} does not exist: `make report` writes it.")
    png = palette(_screenshot(page))
    with atomic_write(target) as temporary:
        temporary.write_bytes(png)
    return len(png)


def palette(png: bytes) -> bytes:
    """The PNG with as many colours as fit into 250 kB. Raises EffnetError where even few do not."""
    with Image.open(io.BytesIO(png)) as picture:
        whole = picture.convert("RGB")
    for colours in COLOURS:
        out = io.BytesIO()
        few = whole.quantize(colours, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
        if out.tell() <= MOST:
            return out.getvalue()
    raise EffnetError(f"the picture takes {out.tell():,} bytes of {MOST:,} with {colours} colours.")


def _screenshot(page: Path) -> bytes:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise EffnetError(
            "the picture is taken in Chromium, and no `chromium` is on the PATH: install it "
            "(apt install chromium, dnf install chromium)."
        )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise EffnetError(
            "the picture is taken by playwright, which is not installed: `make env`, or "
            "pip install -e '.[test]'."
        ) from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        picture = opened.screenshot()
        browser.close()
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.example", description=__doc__)
    parser.add_argument("reports", nargs="?", default="reports/demo", help="a profile's folder")
    reports = resolve(parser.parse_args().reports)
    target = REPORTS / "example.png"
    size = take(reports / "index.html", target)
    print(f"wrote {relative(target)}, {size:,} bytes")


if __name__ == "__main__":
    command_line(main)
