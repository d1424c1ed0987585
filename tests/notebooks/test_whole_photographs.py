"""Notebook 01 measures whole photographs where a profile has them beside its cropped ones."""

import json

import layout_makers as make
import nbformat
import pandas as pd
import pytest
from PIL import Image

from effnet.datasets import cache
from effnet.grid.profiles import Profile
from effnet.paths import ROOT
from effnet.report.session import Session
from effnet.verdicts.claims import judge

BEFORE = ("imports", "annotations", "sums", "whole")


@pytest.mark.parametrize("frames", [True, False])
def test_the_normalisation_is_that_of_whole_photographs(frames, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "DATA", tmp_path)
    monkeypatch.setattr(Profile, "reports", tmp_path / "reports")
    monkeypatch.setenv("STANFORD_CARS", str(make.class_folders(tmp_path / "crops")))
    monkeypatch.delenv("STANFORD_CARS_FRAMES", raising=False)
    if frames:  # of one dark gray, unlike the crops
        monkeypatch.setenv("STANFORD_CARS_FRAMES", str(make.class_folders(tmp_path / "whole")))
        for path in (tmp_path / "whole").rglob("*.jpg"):
            Image.new("RGB", (40, 30), (51, 51, 51)).save(path)
    session = Session("laptop", "01_dataset_eda", None, {}, "none")
    namespace = {"session": session, "Session": Session, "profile": "laptop"}
    cells = nbformat.read(ROOT / "notebooks" / "01_dataset_eda.ipynb", 4).cells
    source = {cell.get("id"): cell.source for cell in cells}
    source |= {tag: c.source for c in cells for tag in c.metadata.get("tags", [])}
    for name in (*BEFORE, "tab_normalisation", "fig_normalisation"):
        exec(source[name], namespace)

    table = pd.read_csv(session.reports / "tables" / "tab_normalisation.csv")
    record = json.loads((session.reports / "tables" / "tab_normalisation.json").read_text())
    found = judge(session.reports).set_index("id").at["C037", "found"]
    figure = json.loads((session.reports / "figures" / "fig_normalisation.json").read_text())
    assert (table["mean_pooled"] == 0.2).all() == frames
    assert (table["whole_photographs"] == (8 if frames else 0)).all()
    assert (record["data_hash"] != session.data.data_hash) == frames
    what = "8 whole photographs" if frames else "8 training images"
    assert what in record["caption"] and what in figure["caption"]
    assert found.startswith("8 whole photographs: 0.2000" if frames else "Data at hand: 0.")


def test_another_folder_is_measured_itself(monkeypatch, tmp_path):
    """An overridden `data_dir` is no cropped copy of the photographs beside the profile's."""
    for name in ("STANFORD_CARS", "STANFORD_CARS_FRAMES"):
        monkeypatch.setenv(name, str(tmp_path))
    session = Session("laptop", "01_dataset_eda", None, {"data_dir": "elsewhere"}, "none")
    namespace = {"session": session, "Session": Session, "profile": "laptop", "sums": [0]}
    cells = nbformat.read(ROOT / "notebooks" / "01_dataset_eda.ipynb", 4).cells
    exec(next(cell.source for cell in cells if cell.get("id") == "whole"), namespace)
    assert namespace["photo_session"] is session and namespace["pixels"] == [0]
