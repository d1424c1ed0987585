"""Killed around any write, a run goes on to the same bytes; `make campaign` tries every point."""

import subprocess
import sys
from pathlib import Path

from campaign import tries

HELPERS = Path(__file__).parents[1] / "helpers"


def test_killed_around_a_write(small, tmp_path):
    step = str(tries(sample=27, campaign=1))
    command = [sys.executable, str(HELPERS / "crash_points.py"), small["data_dir"], str(tmp_path)]
    done = subprocess.run([*command, step], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crash points end with the right bytes" in done.stdout
