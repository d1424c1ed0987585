"""Small files of finished runs travel, and come back as the same runs."""

import shutil

import pandas as pd
from fake_runs import fake_profile, fake_run, reseal

from effnet.files import read_sealed
from effnet.report.evidence import keep, restore
from effnet.runs import damaged_runs, load_runs, predictions
from effnet.training.status import finished


def test_kept_runs_come_back_whole_and_small(tmp_path):
    source, target = tmp_path / "there", tmp_path / "here"
    fake_profile(source, groups=("pretrained", "scratch_rgb"))
    for path in source.glob("runs/*/*.ckpt"):
        path.unlink()
    for folder in source.glob("runs/*/"):
        reseal(folder)
    with_weights = fake_run(source, "its weights are kept")
    half = fake_run(source, "half", state="interrupted")
    folders = keep(source, target)
    names = {folder.name for folder in folders}
    assert len(folders) == len(load_runs(source, states=("finished",))) - 1
    assert with_weights.name not in names and half.name not in names
    assert not list(target.glob("runs/*/*.ckpt")) and not list(target.glob("runs/*/*.csv.tmp"))
    before = {p: p.read_bytes() for p in target.rglob("*.gz")}
    keep(source, target)
    assert {p: p.read_bytes() for p in target.rglob("*.gz")} == before
    # Where the images lay, and on which machine, is nobody's business and no part of a run's id.
    place = fake_run(source, "elsewhere", data_dir="/home/somebody/cars")
    (place / "best.ckpt").unlink()
    reseal(place)
    keep(source, target)
    kept = target / "runs" / place.name
    assert not any(b"somebody" in p.read_bytes() for p in kept.iterdir())
    assert read_sealed(kept / "status.json")["host"] == ""
    restore(target)
    assert finished(kept) and load_runs(target).query("name == 'elsewhere'")["state"].all()
    shutil.rmtree(kept)
    for path in target.glob("runs/*/predictions_*.csv"):
        path.unlink()
    # A clone has the packed files alone.
    assert not finished(folders[0])
    assert len(restore(target)) == 2 * len(folders)
    assert all(finished(folder) for folder in folders) and damaged_runs(target) == []
    ours = load_runs(target).set_index("trial_id")
    theirs = load_runs(source, states=("finished",)).set_index("trial_id").loc[ours.index]
    drop = ["path"]
    pd.testing.assert_frame_equal(ours.drop(columns=drop), theirs.drop(columns=drop))
    one = ours.iloc[0]
    pd.testing.assert_frame_equal(predictions(one), predictions(theirs.loc[one.name]))
    assert restore(target) == []
    # A packed file that was changed makes a run that says so.
    (folders[0] / "predictions_val.csv").unlink()
    shutil.copy(folders[1] / "predictions_val.csv.gz", folders[0] / "predictions_val.csv.gz")
    restore(target)
    assert not finished(folders[0])
