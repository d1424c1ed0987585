"""A reader's own images: results in a folder of their own, never among a profile's."""

from pathlib import Path

import pytest

from effnet.demo.folder import make_demo
from effnet.grid.profiles import Profile
from effnet.paths import REPORTS
from effnet.report import own
from effnet.report.own import own_reports, runs_of
from effnet.report.runner import notebooks_of
from effnet.report.session import Session

SMALL = {"image_size": 32, "epochs": 1, "batch_size": 10, "model_name": "b0"}


@pytest.mark.parametrize(
    ("images", "name"),
    [
        ("/data/birds", "birds"),
        ("/data/My Birds (2020)", "my-birds-2020"),
        ("/data/demo", "demo-images"),  # a profile's name
        ("/data/鳥", "images"),
        ("torchvision:CIFAR10", "cifar10"),
    ],
)
def test_the_folder_bears_the_images_name(images, name):
    assert own_reports(Path(images)) == REPORTS / name


def test_runs_of_own_images_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr("effnet.grid.profiles.REPORTS", tmp_path / "reports")
    birds = make_demo(tmp_path / "birds", size="smoke")
    before = set(load_names(tmp_path))
    session = Session("smoke", "04_train_scratch", "scratch_rgb",
                      SMALL | {"data_dir": str(birds)}, "none")  # fmt: skip
    assert "images of" in str(session) and "Smoke results" not in str(session)
    assert session.source == "birds, own images" and not session.drawn
    run = session.run()
    assert session.home == tmp_path / "reports/birds"
    assert session.reports.parent == session.home / "custom"
    assert set(load_names(tmp_path)) == before  # nothing of it is among the profile's
    assert list(session.runs["trial_id"]) == [run["trial_id"]]
    # Other images of the same name are not pooled with these.
    assert runs_of(session.home, "another hash").empty
    # The notebook about own images keeps its figures beside the runs, whatever was set.
    assert Session("smoke", "06_your_images", "scratch_rgb",
                   SMALL | {"data_dir": str(birds)}, "none").reports == session.home  # fmt: skip


def load_names(tmp_path):
    folder = tmp_path / "reports/smoke/runs"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_the_profiles_own_images_are_its_own():
    assert Session("smoke", "04_train_scratch", "scratch_rgb", {"epochs": 1}, "none").images is None
    assert "06_your_images" not in notebooks_of(Profile.load("demo"))
