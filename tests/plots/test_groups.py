"""What a reader calls runs."""

import pandas as pd
import pytest

from effnet.plots.groups import labels, run_label


@pytest.mark.parametrize(
    ("name", "group", "label", "short"),
    [
        ("pretrained p=0.2 wd=0.01", "pretrained", "pretrained, dropout 0.2, decay 0.01",
         "dropout 0.2, decay 0.01"),
        ("scratch_rgb p=0 wd=0.1 seed 2", "scratch_rgb",
         "RGB from scratch, dropout 0, decay 0.1, seed 2", "dropout 0, decay 0.1, seed 2"),
        # Called as its group is: its settings are those of the row.
        ("scratch_lite seed 1", "scratch_lite",
         "lite0 from scratch, dropout 0.3, decay 0.05, seed 1",
         "dropout 0.3, decay 0.05, seed 1"),
        ("optimizers initial_lr=0.001 augment=True", "optimizers",
         "optimizers, initial lr 0.001, augment True", "initial lr 0.001, augment True"),
        ("whole scratch_rgb seed 1", "whole_photographs",
         "whole photographs, RGB from scratch, seed 1",
         "whole photographs, RGB from scratch, seed 1"),
        ("SAN-396", "pretrained", "SAN-396", "SAN-396"),
        ("SAN-396 seed 1000", "pretrained", "SAN-396, seed 1000", "SAN-396, seed 1000"),
        ("frozen", "pretrained_frozen", "frozen", "frozen"),
        ("my scaling of the last layer", "pretrained", "my scaling of the last layer",
         "my scaling of the last layer"),
        ("b0, 64 px, seed 3", "scratch_rgb", "b0, 64 px, seed 3", "b0, 64 px, seed 3"),
    ],
)  # fmt: skip
def test_a_run_has_a_name_for_people(name, group, label, short):
    run = {"name": name, "group": group, "dropout_rate": 0.3, "weight_decay": 0.05}
    assert run_label(run) == label and run_label(pd.Series(run), group=False) == short


def test_runs_of_one_name_are_told_apart():
    ids = ["12345", "6", "789ab"]
    runs = pd.DataFrame({"name": ["a", "b", "a"], "group": "x", "trial_id": ids})
    assert list(labels(runs)) == ["a 1234", "b", "a 789a"]
    assert labels(runs.iloc[:0]).empty
