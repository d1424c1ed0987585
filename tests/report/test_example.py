"""The README's picture of a report."""

import io
import sys

import numpy as np
import pytest
from browser import CHROMIUM
from PIL import Image

from effnet.errors import EffnetError
from effnet.paths import ROOT
from effnet.report import example


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "index.html"
    file.write_text("<!DOCTYPE html><body style='margin: 0; height: 5000px; background: #0072b2'>")
    return file


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_picture_is_the_first_screen(page, tmp_path):
    target = tmp_path / "example.png"
    assert example.take(page, target) == target.stat().st_size
    with Image.open(target) as picture:
        assert picture.size == (example.WIDTH, example.HEIGHT) and picture.mode == "P"
        assert picture.convert("RGB").getpixel((600, 600)) == (0, 0x72, 0xB2)


def test_what_is_missing_is_named(page, tmp_path, monkeypatch):
    with pytest.raises(EffnetError, match="nowhere.html does not exist"):
        example.take(tmp_path / "nowhere.html", tmp_path / "a.png")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/chromium")
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(EffnetError, match=r"playwright, .* pip install"):
        example.take(page, tmp_path / "a.png")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EffnetError, match="apt install chromium"):
        example.take(page, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_picture_is_small_or_refused():
    def png(pixels):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        return out.getvalue()

    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (4, 900, 3))
    assert len(example.palette(png(ramp))) <= example.MOST
    noise = np.random.default_rng(0).integers(0, 256, (1400, 1280, 3), dtype=np.uint8)
    with pytest.raises(EffnetError, match="of 250,000 with 32 colours"):
        example.palette(png(noise))


def test_the_readme_shows_it():
    assert "(reports/example.png)" in (ROOT / "README.md").read_text()
