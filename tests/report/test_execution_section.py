"""The report's section on runs that differ in their execution alone."""

import re
import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, probe
from fake_results import fake_figure
from fake_runs import fake_run
from report_site import broken_links

from effnet.report.page import build_report
from effnet.runs import load_runs

FAST = {"precision": "bf16-mixed", "compile": True, "cuda_graphs": True}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A report on three seeds each of a plain and a fast setting, and on a run that has no pair."""
    reports = tmp_path_factory.mktemp("reports") / "demo"
    for setting in ({"channels_last": False, "fused": False}, FAST):
        for seed, accuracy in enumerate((0.80, 0.83, 0.81)):
            fake_run(reports, f"a-{seed}", "pretrained", accuracy, seed=seed, **setting)
    fake_run(reports, "alone", "scratch_rgb", 0.7)
    fake_figure(reports, "fig20")
    build_report(reports)
    return reports


def test_the_report_shows_the_comparison(site):
    page, text = (site / "index.html").read_text(), (site / "report.md").read_text()
    section = page.split('<h3 id="execution">')[1].split("</section>")[0]
    assert section.count("<table") == 1 and section.count("<tr>") == 3
    assert "95 % confidence interval" in section and "no difference was seen" in section
    for part in (section, text.split("### Does a faster execution")[1].split("## Made")[0]):
        assert "float32, contiguous, unfused" in part and "same" in part
        assert "bf16, channels_last, fused, compiled, CUDA graphs" in part
        assert "pretrained: b0, 224 px, batches of 32" in part and "scratch" not in part
    lines = [line for line in text.splitlines() if re.match(r"\| (float32|bf16), ", line)]
    assert len(lines) == 2 and {line.count("|") for line in lines} == {10}
    assert page.count("<td>float32, channels_last, fused</td>") == 1  # the run without a pair
    assert broken_links(site / "index.html") == []


def test_the_report_shows_nothing_where_nothing_is_compared(site, tmp_path):
    reports = tmp_path / "demo"
    shutil.copytree(site, reports)
    for run in load_runs(reports).to_dict("records"):
        if run["precision"] == "bf16-mixed":
            shutil.rmtree(run["path"])
    assert 'id="execution"' not in build_report(reports).read_text()
    assert "faster execution" not in (reports / "report.md").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_comparison_on_a_phone(site, tmp_path):
    seen = probe(site / "index.html", 360, tmp_path)
    assert seen["problems"] == [] and seen["wide"] == [] and seen["scroll"] <= 360
