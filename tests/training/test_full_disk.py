"""A full disk stops a run with one message; once there is room it goes on to the same bytes."""

import platform
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from damaging import damage
from places import as_nobody, open_folder, resize, small_disk
from small_trials import SMALL, THIN, KillLater, contents

from effnet.demo.folder import make_demo
from effnet.errors import command_line
from effnet.files import WRITING, CannotWrite
from effnet.runs import load_runs
from effnet.train import TrialInterrupted, run
from effnet.training.status import read_status
from effnet.trial import Trial


@pytest.fixture(scope="module")
def trial(small):
    return Trial.make(small | THIN)


@pytest.fixture(scope="module")
def whole(trial, tmp_path_factory):
    return run(trial, tmp_path_factory.mktemp("whole"))


def test_a_run_goes_on_once_there_is_room(trial, whole, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=0.3) as disk:
        # Too small for best.ckpt, then for last.ckpt: about 0.4 and 1.2 MB.
        for megabytes, name in ((0.3, "best.ckpt"), (0.9, "last.ckpt")):
            resize(disk, megabytes)
            with pytest.raises(CannotWrite) as error:
                run(trial, disk / "runs")
            assert re.search(
                rf"{name} cannot be written \(No space left on device\): it needs more than [\d,]+ "
                r"bytes, [\d,]+ are free\. Make room .* goes on",
                str(error.value),
            )
            folder = next((disk / "runs").iterdir())
            status = read_status(folder)
            assert status["state"] == "failed" and status["system"] and name in status["message"]
            assert not list(folder.glob(f"{WRITING}*"))
        resize(disk, 20)
        assert contents(run(trial, disk / "runs")) == contents(whole)
        assert read_status(folder)["state"] == "finished"


def test_a_disk_without_a_single_block_left(trial, tmp_path):
    """status.json has no room for a second file, and still does not say "running"."""
    with small_disk(tmp_path / "disk", megabytes=20) as disk:
        with pytest.raises(TrialInterrupted):
            run(trial, disk / "runs", callbacks=[KillLater(1)])
        folder = next((disk / "runs").iterdir())
        try:
            with open(disk / "somebody else's", "wb") as file:
                file.write(bytes(30 * 2**20))
        except OSError:
            pass
        with pytest.raises(CannotWrite, match="No space left"):
            run(trial, disk / "runs")
        assert read_status(folder)["state"] in ("failed", "interrupted")


def test_what_killed_writers_left_is_swept_by_the_next_run(trial, whole, tmp_path):
    with pytest.raises(TrialInterrupted):
        run(trial, tmp_path, callbacks=[KillLater(1)])
    folder = next(tmp_path.iterdir())
    for name in ("last-x1y2.ckpt", "best-aaaa.ckpt", "status-b.json", "predictions_val-c.csv"):
        (folder / f"{WRITING}{name}").write_bytes(b"half")
    (folder / ".mine").write_text("not the kit's")
    run(trial, tmp_path)
    assert not list(folder.glob(f"{WRITING}*")) and (folder / ".mine").exists()


HOLDER = """
import sys, time
from pathlib import Path
from effnet.demo.folder import make_demo
from effnet.files import locked
with locked(Path(sys.argv[1]), "it is held"):
    print(flush=True)
    time.sleep(3)
"""


def test_whoever_waits_says_for_whom(trial, tmp_path, capsys):
    with pytest.raises(TrialInterrupted):
        run(trial, tmp_path, callbacks=[KillLater(1)])
    folder = next(tmp_path.iterdir())
    command = [sys.executable, "-c", HOLDER, str(folder / ".lock")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    holder.stdout.readline()
    run(trial, tmp_path, "mine")
    assert holder.wait() == 0
    told = capsys.readouterr().out
    assert f"waiting: trial mine is trained by process {holder.pid} on {platform.node()}" in told
    assert f"since {datetime.now(UTC).date()}" in told
    assert not (folder / ".lock.by").exists()


def look_and_run(trial, place):
    def main():
        print(load_runs(place)["state"].tolist())
        print(run(trial, place / "runs"))

    command_line(main)


def test_another_user_s_runs_can_be_read():
    """And what cannot be done is said in one line."""
    with open_folder() as place:
        data = make_demo(place / "smoke", size="smoke")
        trial = Trial.make(SMALL | THIN | {"data_dir": str(data), "epochs": 1})
        folder = run(trial, place / "runs")
        read = as_nobody(look_and_run, trial, place)
        assert read.returncode == 0, read.stderr
        assert read.stdout.splitlines() == ["['finished']", str(folder)]
        damage(folder / "predictions_val.csv", "cut")
        refused = as_nobody(look_and_run, trial, place)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused.stderr
    assert "cannot be" in refused.stderr and folder.name in refused.stderr
