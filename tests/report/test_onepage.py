"""The page in short: its numbers against the runs' files, and what it says where they lack."""

import re
import statistics
from html import unescape

import mistune
import pytest
from fake_laptop import AS_THE_THESIS, fake_laptop
from fake_results import fake_figure
from fake_runs import fake_profile, fake_profile_json, fake_run, rewrite
from figure_checks import rows_of
from scipy import stats

from effnet.files import write_sealed
from effnet.report.onepage import write_onepage
from effnet.runs import load_runs
from effnet.verdicts.claims import judge


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    return fake_laptop(tmp_path_factory.mktemp("reports") / "laptop", AS_THE_THESIS, whole=True)


def table_of(page, first):
    """The rows of the table whose head begins so, by their first cell."""
    lines = iter(page.splitlines())
    next(line for line in lines if line.startswith(f"| {first} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return {row[0]: row[1:] for row in rows}


def bests(reports, **chosen):
    """Best accuracies in points of the runs chosen, from their files."""
    runs = load_runs(reports)
    for name, value in chosen.items():
        runs = runs[runs[name] == value]
    return [100 * max(r["val_acc_batch_mean"] for r in rows_of(run)) for _, run in runs.iterrows()]


def test_its_numbers_are_those_of_the_files(laptop):
    page = write_onepage(laptop).read_text()
    groups = table_of(page, "group")
    setting = {"dropout_rate": 0.2, "weight_decay": 0.1}
    tuned, rgb = (bests(laptop, group=g, **setting) for g in ("pretrained", "scratch_rgb"))
    mean, (low, high) = statistics.mean(rgb), stats.t.interval(
        0.95, 2, statistics.mean(rgb), stats.sem(rgb)
    )  # fmt: skip
    assert groups["RGB from scratch (B0)"][1:3] == ["3", f"{mean:.1f} ± {(high - low) / 2:.1f}"]
    top = max(bests(laptop, group="scratch_rgb"))
    assert groups["RGB from scratch (B0)"][3] == f"{top:.1f} (scratch_rgb p=0.2 wd=0.3)"
    assert groups["RGB from scratch (B0)"][4] == "79.0 (SAN-448)"
    assert groups["lite0 from scratch"][4] == "–" and len(groups) == 7
    assert groups["pretrained, whole photographs"][1] == "2"
    question, welch = table_of(page, "question"), stats.ttest_ind(tuned, rgb, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    apart = statistics.mean(tuned) - mean
    assert question["Pretrained less RGB from scratch (B0)"] == [
        "+11.3", f"{apart:+.1f} ({low:+.1f} to {high:+.1f}), 3 and 3 seeds", "same direction",
    ]  # fmt: skip
    assert question["Range over dropout rates, pretrained"][0] == "0.8"
    assert "How soon" in page and question["Images that no run gets right"][0] == "5 of one class"
    seconds = sum(row["seconds"] for _, run in load_runs(laptop).iterrows() for row in rows_of(run))
    assert f"took {seconds / 60:.1f} minutes, added up, 5.3 minutes by the clock" in page
    assert "6,509 images of 196 classes" in page and "- images: 6,509 (thesis: 16,185)" in page
    assert "- image size: 64 (thesis: 224)" in page and f"commit {'0' * 40}." in page
    assert "STANFORD_CARS_FRAMES" in page and "padding" not in page


def test_its_verdicts_are_those_of_the_claims(laptop):
    judged = judge(laptop).set_index("id")["verdict"]
    question = table_of(write_onepage(laptop).read_text(), "question")
    for words, claim in (
        ("Pretrained less lite0 from scratch", "C078"), ("Grayscale less RGB", "C110"),
        ("All layers less the last alone", "C087"),
        ("Range over weight decays, pretrained", "C082"),
        ("Range over dropout rates, RGB from scratch", "C100"),
        ("How soon a pretrained network passes all from scratch", "C079"),
    ):  # fmt: skip
        assert question[words][-1] == judged[claim] != "needs real data"
    assert question["Boxes less whole photographs, pretrained"][-1] == "not in the thesis"


def test_rows_of_one_claim_are_judged_one_by_one(tmp_path):
    world = AS_THE_THESIS | {"scratch_rgb": 0.7}  # B0 from scratch ahead, lite0 behind
    page = write_onepage(fake_laptop(tmp_path / "laptop", world)).read_text()
    verdicts = {words: row[-1] for words, row in table_of(page, "question").items()}
    assert verdicts["Pretrained less lite0 from scratch"] == "same direction"
    assert verdicts["Pretrained less RGB from scratch (B0)"] == "opposite direction"


def test_equal_records_give_equal_bytes_and_no_time(laptop, tmp_path):
    first = write_onepage(laptop).read_bytes()
    again = fake_laptop(tmp_path / "laptop", AS_THE_THESIS, whole=True)
    assert write_onepage(again, judge(again)).read_bytes() == first
    assert not re.search(rb"\d{4}-\d\d-\d\d", first)
    assert b"overview.png" not in first
    fake_figure(again, "overview", "05_prediction_matrix")
    assert b"(figures/overview.png)" in write_onepage(again).read_bytes()


def test_half_a_profile_says_what_is_missing(tmp_path):
    for seed in range(2):
        fake_run(tmp_path, f"tuned {seed}", "pretrained", 0.5 + 0.01 * seed, seed=seed)
    fake_run(tmp_path, "once", "scratch_rgb", 0.2)
    fake_run(tmp_path, "going on", "scratch_rgb", 0.3, seed=1, state="running")
    page = write_onepage(tmp_path).read_text()
    assert "Finished are 3 runs" in page and "by the clock" not in page
    assert table_of(page, "group")["RGB from scratch"][1:3] == ["1", "–"]
    assert table_of(page, "question")["Pretrained less RGB from scratch"][1] == "one seed only"
    entries = [
        {name: run[name] for name in ("name", "group", "trial_id")} | {"state": "finished"}
        for run in load_runs(tmp_path).to_dict("records")
    ]
    planned = [*entries, {"name": "x", "group": "y", "trial_id": None, "state": "failed"}]
    write_sealed(tmp_path / "grid.json", {"runs": planned})
    assert "Finished are 3 of the profile's 5 runs" in write_onepage(tmp_path).read_text()


def test_without_runs_and_on_demo_data(tmp_path):
    (tmp_path / "empty").mkdir()
    page = write_onepage(tmp_path / "empty").read_text()
    assert "No run is finished yet." in page and "|" not in page
    page = write_onepage(fake_profile(tmp_path / "demo")).read_text()
    assert "demo data (cars drawn by the kit)" in page and "STANFORD_CARS" not in page
    verdicts = {row[-1] for row in table_of(page, "question").values()}
    assert verdicts == {"needs real data", "not in the thesis"}


def test_networks_without_dropout(tmp_path):
    """Another library's: where no run has a rate, it is missing and not wrong."""
    for group in ("pretrained", "scratch_rgb", "scratch_gray"):
        for seed in range(2):
            none = dict.fromkeys(("dropout_rate", "drop_connect_rate", "batch_norm_momentum"))
            fake_run(tmp_path, f"{group} {seed}", group, 0.5 + 0.02 * seed, seed=seed, **none)
    fake_profile_json(tmp_path)
    runs = load_runs(tmp_path)
    assert runs["dropout_rate"].dtype == float and runs["dropout_rate"].isna().all()
    page = write_onepage(tmp_path).read_text()
    assert table_of(page, "group")["pretrained"][0].startswith("no dropout, decay 0.01")
    assert "nan" not in page
    found = judge(tmp_path).set_index("id")["found"]
    assert "b0 has no dropout_rate" in found["C073"] and "No run has a value" in found["C081"]


@pytest.mark.parametrize("name", ["<b onload='x'>a|b `c`", "a\n\n# head | [x](javascript:y)"])
def test_names_are_text(tmp_path, name):
    folder = fake_run(tmp_path / "demo", "run", "pretrained", 0.9)
    rewrite(folder / "trial.json", name=name)
    page = write_onepage(tmp_path / "demo").read_text()
    (row,) = table_of(page, "group").values()
    assert len(row) == 5 and "Finished is 1 run:" in page
    html = mistune.create_markdown(escape=False, plugins=["table"])(page)
    assert f"90.0 ({' '.join(name.split())})" in unescape(html)
    assert not re.search(r"<b\b|<a\b|<code>c|<h1>head", html)
