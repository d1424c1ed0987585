"""A grid that is killed again and again, with everything it started, ends as if it never was."""

import os
import random
import signal
import subprocess
import time

import pytest
from campaign import CAMPAIGN, tries
from own_checkout import command, make_checkout, start
from small_trials import THIN, contents

KILLS = tries(1, 12)


@pytest.mark.skipif(not CAMPAIGN, reason="minutes: make campaign")
@pytest.mark.parametrize("seed", range(tries(1, 2)))
def test_killed_at_any_time(tmp_path, seed):
    runs = {f"seed {i}": {"seed": i, "epochs": 4} for i in range(4)}
    trained, killed = (
        make_checkout(tmp_path / name, scratch_rgb={"trial": THIN, "runs": runs})
        for name in ("trained", "killed")
    )
    code, output = command(trained, "effnet.grid", "own", "--jobs", "2")
    assert code == 0, output
    random.seed(seed)
    for _ in range(KILLS):
        grid = start(killed, "effnet.grid", "own", "--jobs", "2", start_new_session=True)
        time.sleep(random.uniform(3, 16))
        os.killpg(grid.pid, signal.SIGKILL)
        grid.communicate()
        # What the killed parent's workers would still do must not disturb the next call; they are
        # gone at once, and reaped by the system a moment later.
        end = time.monotonic() + 10
        while subprocess.run(["pgrep", "-g", str(grid.pid)], capture_output=True).returncode == 0:
            assert time.monotonic() < end, "a worker outlives its group"
            time.sleep(0.1)
    code, output = command(killed, "effnet.grid", "own", "--jobs", "2")
    assert code == 0, output
    folders = [sorted((checkout / "reports/own/runs").iterdir()) for checkout in (trained, killed)]
    assert [f.name for f in folders[0]] == [f.name for f in folders[1]]
    for one, other in zip(*folders, strict=True):
        assert contents(one) == contents(other)
