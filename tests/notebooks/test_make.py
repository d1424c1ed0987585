"""What `make` hands on and what it refuses: profiles, images and notebooks of a reader's own."""

import re
import shutil
import sys

import nbformat
import pytest
from commands import command, make
from PIL import Image

from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.grid.profiles import Profile
from effnet.paths import REPORTS
from effnet.report import runner
from effnet.report.chapters import chapters

# The thesis's chapters; the one on a reader's own images is no part of them.
NAMES = [path.stem for path in chapters() if path.stem != "06_your_images"]


def test_own_images_from_a_folder_to_a_model(tmp_path):
    """Notebook 06 on class folders: every figure, a table of answers, and nothing of the thesis."""
    data = make_demo(tmp_path / "cars", size="smoke")
    result = command(sys.executable, "-m", "effnet.report.runner", "06", "-p", "data_dir",
                     str(data), "-p", "epochs", "1", "-p", "image_size", "32")  # fmt: skip
    reports = REPORTS / "cars"
    try:
        assert result.returncode == 0, result.stderr
        assert "epoch   1/1" in result.stdout  # as it comes
        made = {path.stem for path in reports.glob("figures/*.png")}
        assert made == {"own_montage", "own_run", "confusion", "wrong_images"}
        executed = nbformat.read(reports / "notebooks/06_your_images.ipynb", as_version=4)
        shown = "".join(str(o) for c in executed.cells if c.cell_type == "code" for o in c.outputs)
        assert "probability" in shown and "thesis" not in shown
    finally:
        shutil.rmtree(reports, ignore_errors=True)


OWN = "note: x\ntrial: {data_dir: data/demo_smoke, epochs: 1}\ngroups: {%s: {grid: {seed: [0]}}}\n"


@pytest.mark.parametrize(
    ("group", "without"),
    [("mine", ["03", "04"]), ("pretrained", ["04"]), ("scratch_rgb", ["03"])],
)
def test_the_notebooks_that_apply_to_a_profile(tmp_path, group, without):
    (tmp_path / "mine.yaml").write_text(OWN % group)
    found = runner.notebooks_of(Profile.load(str(tmp_path / "mine.yaml")))
    assert found == [name for name in NAMES if name[:2] not in without]
    assert runner.notebooks_of(Profile.load("controlled")) == NAMES


def test_a_profile_elsewhere_reproduces_with_the_notebooks_that_apply(tmp_path):
    """In a folder whose name a shell would take apart. A dry run: nothing is trained or written."""
    path = tmp_path / "it's;$HOME" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(OWN % "mine")
    result = make("-n", "reproduce", f"PROFILE={path}")
    assert result.returncode == 0, result.stderr
    ran = set(re.findall(r"effnet\.report\.runner (\w+)", result.stdout))
    assert ran == {name for name in NAMES if name[:2] not in ("03", "04")}
    assert 'effnet.grid "$PROFILE"' in result.stdout
    assert "open reports/mine/index.html" in result.stdout
    assert not (REPORTS / "mine").exists()
    result = make("weights", f"PROFILE={path}")
    assert result.stdout.endswith("profile mine needs no published checkpoint\n"), result.stderr


def test_a_wrong_profile_elsewhere_is_refused_with_its_line_before_anything_is_made(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text((OWN % "mine").replace("seed", "sed"))
    result = make("reproduce", f"PROFILE={path}")
    assert result.returncode == 2 and f"{path}, line 3: group mine: unknown" in result.stderr
    assert "Traceback" not in result.stderr and not (REPORTS / "mine").exists()


@pytest.mark.parametrize("name", ["none/mine.yaml", "demo.yaml", "runs.yaml", "a b.yaml", "%.yaml"])
def test_a_file_that_cannot_be_a_profile_is_refused_by_make(tmp_path, name):
    if "/" not in name:
        (tmp_path / name).write_text(OWN % "mine")
    result = make("clean", f"PROFILE={tmp_path / name}")
    assert result.returncode == 2 and result.stdout == ""
    assert f"profile is '{tmp_path / name}': allowed are controlled, demo" in result.stderr
    assert "thesis_fast, or a file <folder>/<other name>.yaml" in result.stderr


def test_a_notebook_without_its_group_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("went on"))
    path = tmp_path / "mine.yaml"
    path.write_text(OWN % "mine")
    with pytest.raises(EffnetError, match=f"has no group 'pretrained', but mine. Add it .{path}."):
        runner.run_notebook("03", str(path))


def test_a_data_folder_of_any_name_reaches_the_commands(tmp_path):
    folder = tmp_path / "my car's, a\"b $HOME$(x)`y` (c) & d; ü"
    (folder / "car").mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / "car" / "1.jpg")
    result = make("check-data", f"STANFORD_CARS={folder}")
    assert "there is no such folder" not in result.stderr + result.stdout
    assert str(folder) in result.stdout + result.stderr


def test_make_alone_lists_the_targets():
    result = make()
    for target in ("env", "reproduce", "test", "lab", "run", "clean"):
        assert re.search(rf"^  make {target} +\w", result.stdout, re.M), target
