"""What a training shows: a line per epoch with the time left, and a bar where somebody looks."""

import re

import pytest

from effnet.demo.folder import make_demo
from effnet.demo.inputs import run
from effnet.trial import Trial


@pytest.mark.parametrize("place", ["pipe", "lab", "worker"])
def test_lines_everywhere_and_a_bar_in_lab(place, tmp_path, monkeypatch, capsys):
    data = make_demo(tmp_path / "smoke", size="smoke")
    for name in ("JPY_SESSION_NAME", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    if place != "pipe":
        monkeypatch.setenv("JPY_SESSION_NAME", "03_train_pretrained.ipynb")
    if place == "worker":  # of a grid that was started there
        monkeypatch.setenv("TQDM_DISABLE", "1")
    trial = Trial(
        data_dir=str(data), image_size=32, epochs=2, batch_size=10, width_coefficient=0.3,
        depth_coefficient=0.35, batch_norm_momentum=0.1,
    )  # fmt: skip
    run(trial, tmp_path / "runs", name="mine")
    shown = capsys.readouterr().out
    lines = [line.rpartition("\r")[2] for line in shown.splitlines() if " loss " in line]
    assert [line.split("  loss")[0] for line in lines] == ["mine  epoch   1/2", "mine  epoch   2/2"]
    seconds = float(re.search(r"([\d.]+) s, at most", lines[0])[1])
    left = re.search(r"at most 0:00:(\d\d) left", lines[0])
    assert abs(int(left[1]) - seconds) <= 1  # one epoch like the first is to come
    assert "left" not in lines[1]
    assert ("it/s" in shown) == (place == "lab")
