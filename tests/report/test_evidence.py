"""Small files of finished runs travel, and come back as the same runs, figures and tables."""

import io
import json
import re
import shutil
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from fake_results import fake_figure, fake_table
from fake_runs import fake_profile, fake_run, reseal
from own_checkout import command, make_checkout
from PIL import Image

from effnet.files import read_sealed, write_json
from effnet.paths import REPORTS, ROOT
from effnet.report.clean import clean_runs
from effnet.report.evidence import keep
from effnet.report.output import SMALL, compact
from effnet.runs import damaged_runs, load_runs, predictions
from effnet.training.status import finished

EVIDENCE = REPORTS / "laptop"


@pytest.fixture
def source(tmp_path):
    """A profile whose runs keep no weights."""
    fake_profile(tmp_path / "there", groups=("pretrained", "scratch_rgb"))
    for path in (tmp_path / "there").glob("runs/*/*.ckpt"):
        path.unlink()
    for folder in (tmp_path / "there").glob("runs/*/"):
        reseal(folder)
    return tmp_path / "there"


def test_kept_runs_come_back_whole_and_small(source, tmp_path):
    target = tmp_path / "here"
    with_weights = fake_run(source, "its weights are kept")
    half = fake_run(source, "half", state="interrupted")
    folders = keep(source, target)
    names = {folder.name for folder in folders}
    assert len(folders) == len(load_runs(source, states=("finished",))) - 1
    assert with_weights.name not in names and half.name not in names
    assert not list(target.glob("runs/*/*.ckpt")) and not list(target.glob("runs/*/*.csv.tmp"))
    before = {p: p.read_bytes() for p in target.rglob("*.xz")}
    keep(source, target)
    assert {p: p.read_bytes() for p in target.rglob("*.xz")} == before
    # A clone has the packed files alone; who reads the runs finds them whole.
    assert not finished(folders[0])
    ours = load_runs(target).set_index("trial_id")
    assert all(finished(folder) for folder in folders) and damaged_runs(target) == []
    theirs = load_runs(source, states=("finished",)).set_index("trial_id").loc[ours.index]
    drop = ["path"]
    pd.testing.assert_frame_equal(ours.drop(columns=drop), theirs.drop(columns=drop))
    one = ours.iloc[0]
    pd.testing.assert_frame_equal(predictions(one), predictions(theirs.loc[one.name]))
    # A packed file that was changed, or cut, makes a run that says so.
    whole = before[folders[1] / "predictions_val.csv.xz"]
    for folder, content in zip(folders, (whole, whole[:99]), strict=False):
        (folder / "predictions_val.csv").unlink()
        (folder / "predictions_val.csv.xz").write_bytes(content)
    with pytest.warns(UserWarning):
        states = load_runs(target).set_index("trial_id")["state"]
    assert list(states[[folder.name for folder in folders[:2]]]) == ["damaged", "damaged"]


def test_what_is_kept_names_no_place_and_no_machine(source, tmp_path):
    place = fake_run(source, "elsewhere", data_dir="/home/somebody/cars")
    (place / "best.ckpt").unlink()
    reseal(place)
    keep(source, tmp_path / "here")
    kept = tmp_path / "here" / "runs" / place.name
    assert not any(b"somebody" in path.read_bytes() for path in kept.iterdir())
    assert read_sealed(kept / "status.json")["host"] == ""
    assert load_runs(tmp_path / "here").set_index("name").at["elsewhere", "state"] == "finished"


def test_figures_are_kept_small_and_without_photographs(source, tmp_path):
    fake_figure(source, "fig20", "03_train_pretrained")
    fake_figure(source, "fig12", "01_dataset_eda")
    fake_table(source, "tab_runs", pd.DataFrame({"a": [1]}), "05_prediction_matrix")
    noise = np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(source / "figures/fig20.png")
    for name, shows in (
        ("figures/fig20", False),
        ("figures/fig12", True),
        ("tables/tab_runs", False),
    ):
        record = json.loads((source / f"{name}.json").read_text())
        write_json(source / f"{name}.json", record | {"photographs": shows})
    paths = ("figures/fig12.png", "figures/fig20.png")
    pictures = [f"[![Cars]({path})]({path})" for path in paths]
    links = [f"- [Cars]({path}): a caption" for path in paths]
    (source / "report.md").write_text("\n".join(["# é", *pictures, *links]), "utf-8")
    keep(source, tmp_path / "here")
    page = (tmp_path / "here/report.md").read_text("utf-8").split("\n")
    assert page[0] == "# é" and page[2] == pictures[1] and page[4] == links[1]
    assert page[1].startswith("*it shows photographs, which are not kept")
    assert page[3].startswith("- Cars (it shows") and page[3].endswith("): a caption")
    kept = {path.name for path in (tmp_path / "here").glob("[ft]*/*")}
    assert kept == {"fig20.png", "fig20.json", "tab_runs.csv", "tab_runs.json"}
    sizes = [(place / "figures/fig20.png").stat().st_size for place in (source, tmp_path / "here")]
    assert sizes[0] > SMALL >= sizes[1]


def test_a_chart_stays_legible_when_it_is_made_small():
    plain = Image.new("RGB", (800, 400), "white")
    plain.paste((0, 90, 180), (100, 100, 300, 300))
    content = io.BytesIO()
    plain.save(content, "PNG")
    with Image.open(io.BytesIO(compact(content.getvalue()))) as small:
        assert small.size == plain.size and small.convert("RGB").getpixel((200, 200)) == (
            0,
            90,
            180,
        )


def test_two_thin_curves_keep_their_hues_among_many_shades():
    """Two oranges that are one in a thousand pixels each, beside blues of every shade."""
    pixels = np.full((400, 500, 3), 255, dtype=np.uint8)
    shades = np.arange(256)
    blues = [shades, 40 + shades * 200 // 255, 128 + shades // 2]
    pixels[150:390, 10:266] = np.stack(blues, axis=1)
    first, second = (213, 94, 0), (230, 159, 0)
    pixels[100, 50:250], pixels[120, 50:250] = first, second
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    with Image.open(io.BytesIO(compact(content.getvalue()))) as small:
        ours = [small.convert("RGB").getpixel((150, row)) for row in (100, 120)]
    for got, meant in zip(ours, (first, second), strict=True):
        assert max(abs(a - b) for a, b in zip(got, meant, strict=True)) < 20


def test_clean_runs_leaves_kept_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("effnet.grid.profiles.REPORTS", tmp_path)
    run = fake_run(tmp_path / "laptop", "of other code")
    kept = fake_run(tmp_path / "laptop", "kept")
    (kept / "predictions_val.csv.xz").write_bytes(b"")
    clean_runs("laptop")
    assert kept.exists() and not run.exists()


def test_the_laptops_evidence_draws_itself_again(tmp_path):
    """In a clone, without images, weights or training: figures, tables and verdicts as kept."""
    checkout = make_checkout(tmp_path / "clone")
    shutil.copytree(ROOT / "notebooks", checkout / "notebooks")
    tracked = [path for part in PARTS for path in EVIDENCE.glob(part)]
    for path in tracked:
        copy = checkout / "reports/laptop" / path.relative_to(EVIDENCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for made in ("claims.csv", "report.md", "summary.md"):
        (checkout / "reports/laptop" / made).unlink()
    assert max(path.stat().st_size for path in EVIDENCE.glob("figures/*.png")) <= SMALL
    assert sum(path.stat().st_size for path in tracked) < 8e6
    of_runs = [path for path in tracked if _of_runs(path)]
    assert len(of_runs) > 30
    for path in of_runs:
        (checkout / "reports/laptop" / path.relative_to(EVIDENCE)).unlink()
    code, output = command(checkout, "effnet.report", "reports/laptop")
    assert code == 0, output
    again = checkout / "reports/laptop"
    for path in (EVIDENCE / "claims.csv", EVIDENCE / "summary.md", *of_runs):
        copy = again / path.relative_to(EVIDENCE)
        if path.suffix == ".png":
            with Image.open(path) as ours, Image.open(copy) as theirs:
                assert ours.size == theirs.size, path.name
                pixels = [np.asarray(image.convert("L"), float) for image in (ours, theirs)]
            # Another version of a library may set a letter otherwise.
            assert np.abs(pixels[0] - pixels[1]).mean() < 3, path.name
        else:
            assert copy.read_text() == path.read_text(), path.name
    page = (again / "index.html").read_text()
    assert page.count('style="--natural: ') > 30 and "notebooks/05_prediction_matrix.html" in page


@pytest.mark.parametrize("page", ["README.md", "report.md", "summary.md"])
def test_kept_pages_link_to_what_is_kept(page):
    """On the repository's own site: no picture of theirs is missing."""
    links = re.findall(r"\]\(([^)#:]+)\)", (EVIDENCE / page).read_text("utf-8"))
    assert [link for link in links if not (EVIDENCE / unquote(link)).exists()] == []


def test_the_readme_tells_the_laptops_numbers():
    """Its first picture and its first tables are the kept ones, row by row."""
    readme = (ROOT / "README.md").read_text()
    section = readme.split("\n## ")[1]
    picture = re.search(r"!\[[^]]+\]\(([^)]+)\)", readme)
    assert picture and picture[1] == "reports/laptop/figures/overview.png"
    assert (ROOT / picture[1]).is_file() and picture[0] in section
    rows = [line for line in section.splitlines() if line.startswith("|")]
    summary = (EVIDENCE / "summary.md").read_text().splitlines()
    kept = [line for line in summary if line.startswith("|")]
    assert rows == kept and len(rows) > 20


PARTS = ("*.json", "*.md", "claims.csv", "figures/*", "tables/*", "runs/*/*.json",
         "runs/*/metrics.csv", "runs/*/*.xz")  # fmt: skip


def _of_runs(path):
    """Whether a kept PNG or CSV is drawn by a notebook of runs."""
    record = path.with_suffix(".json")
    if path.suffix not in (".png", ".csv") or path.parent.name not in ("figures", "tables"):
        return False
    return json.loads(record.read_text())["notebook"][:2] in ("03", "04", "05")
