"""Any file of a run folder gone, empty, cut or changed: `run` ends with the right bytes, and says
which file it was."""

import shutil

import pytest
from campaign import pairs, tries
from damaging import DAMAGES, damage
from small_trials import THIN, KillLater, contents

from effnet.train import TrialInterrupted, run
from effnet.training import checkpoints
from effnet.training.status import finished
from effnet.trial import Trial

FINISHED = ("trial.json", "status.json", "metrics.csv", "summary.json", "predictions_train.csv",
            "predictions_val.csv", "best.ckpt")  # fmt: skip
UNFINISHED = ("trial.json", "status.json", "metrics.csv", "best.ckpt", "last.ckpt")
MADE_AGAIN = {("metrics.csv", how) for how in DAMAGES} | {("trial.json", "missing")}


@pytest.fixture(scope="module")
def trial(small):
    """It ends two epochs after its best one."""
    return Trial.make(small | THIN | {"initial_lr": 0.1, "batch_norm_momentum": 0.01})


@pytest.fixture(scope="module")
def whole(trial, tmp_path_factory):
    folder = run(trial, tmp_path_factory.mktemp("whole"))
    assert checkpoints.load_checkpoint(folder / "best.ckpt")["epoch"] == 0
    return folder


@pytest.fixture(scope="module")
def stopped(trial, tmp_path_factory):
    """Killed in its last epoch."""
    runs = tmp_path_factory.mktemp("stopped")
    with pytest.raises(TrialInterrupted):
        run(trial, runs, callbacks=[KillLater(2)])
    return next(runs.iterdir())


FLIPS = tries(1, 12)
HOW = [(how, 0.5) for how in DAMAGES[:3]] + [
    ("flipped", (i + 1) / (FLIPS + 1)) for i in range(FLIPS)
]


def cases(names):
    return [(name, *how) for name, how in pairs(names, HOW)]


def again(trial, folder, tmp_path):
    """`run` in a copy of the folder, that the caller damages first."""
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    return copy, lambda: run(trial, tmp_path)


@pytest.mark.parametrize("name, how, at", cases(FINISHED))
def test_a_finished_run_is_made_whole_again(trial, whole, tmp_path, capsys, name, how, at):
    folder, run_again = again(trial, whole, tmp_path)
    damage(folder / name, how, at)
    harmless = name == "status.json" and at != 0.5 and finished(folder)  # white space
    assert harmless or not finished(folder)
    capsys.readouterr()
    assert run_again() == folder
    assert finished(folder) and contents(folder) == contents(whole)
    if not harmless and (name, how) != ("status.json", "missing"):
        assert name in capsys.readouterr().out


@pytest.mark.parametrize("name, how, at", cases(UNFINISHED))
def test_an_unfinished_run_goes_on_from_what_is_whole(
    trial, whole, stopped, tmp_path, capsys, name, how, at
):
    folder, run_again = again(trial, stopped, tmp_path)
    damage(folder / name, how, at)
    capsys.readouterr()
    run_again()
    assert finished(folder) and contents(folder) == contents(whole)
    told = capsys.readouterr().out
    resumed = "resuming after epoch 2/" in told
    if at != 0.5 and resumed:
        return  # white space, or padding between a checkpoint's parts
    if (name, how) not in MADE_AGAIN | {("status.json", "missing"), ("last.ckpt", "missing")}:
        assert name in told
    assert resumed == (name not in ("best.ckpt", "last.ckpt")), "it goes on where it can"


def test_the_best_epoch_s_weights_are_in_last_ckpt_where_it_was_the_last(small, tmp_path, capsys):
    trial = Trial.make(small | THIN | {"label_smoothing": 0.3})
    with pytest.raises(TrialInterrupted):
        run(trial, tmp_path, callbacks=[KillLater(1)])
    folder = next(tmp_path.iterdir())
    damage(folder / "best.ckpt", "cut")
    run(trial, tmp_path)
    told = capsys.readouterr().out
    assert "best.ckpt" in told and "resuming after epoch 1/" in told
    assert contents(folder) == contents(run(trial, tmp_path / "whole"))


def test_a_finished_run_is_repaired_from_last_ckpt_where_it_is_there(trial, whole, tmp_path):
    """As where the machine went down before last.ckpt was removed."""
    with pytest.raises(MemoryError), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "effnet.training.artifacts.write", lambda *_: (_ for _ in ()).throw(MemoryError)
        )
        run(trial, tmp_path)
    folder = next(tmp_path.iterdir())
    last = (folder / "last.ckpt").read_bytes()
    run(trial, tmp_path)
    (folder / "last.ckpt").write_bytes(last)
    damage(folder / "predictions_val.csv", "cut")
    seconds = (folder / "metrics.csv").read_bytes()
    run(trial, tmp_path)
    assert contents(folder) == contents(whole)
    assert (folder / "metrics.csv").read_bytes() == seconds, "no epoch was trained again"


def test_no_pickled_code_runs_from_a_folder_somebody_handed_over(trial, stopped, tmp_path, capsys):
    import torch

    class Exploit:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'pwned')!r}, 'w').close()",)

    folder, run_again = again(trial, stopped, tmp_path)
    state = torch.load(folder / "last.ckpt", weights_only=True)
    torch.save(state | {"hparams": Exploit()}, folder / "last.ckpt")
    run_again()
    assert not (tmp_path / "pwned").exists()
    told = capsys.readouterr().out
    assert "last.ckpt" in told and "weights_only" not in told


def test_the_weights_can_be_left_out(trial, whole, tmp_path):
    folder = run(trial, tmp_path, keep_weights=False)
    assert contents(folder) == contents(whole)
    assert not list(folder.glob("*.ckpt")) and finished(folder)
