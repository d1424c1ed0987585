"""Every command on consoles and pipes as they are: real processes."""

import os
import re
import subprocess
import sys

import pytest
from campaign import CAMPAIGN, ONLY_CAMPAIGN

from effnet.paths import PACKAGE, ROOT

CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
# The name has letters that each console lacks; the dataset commands have tests of their own.
COMMANDS = {
    "verdicts": ("effnet.verdicts", "{folder}"),
    "report": ("effnet.report", "{folder}"),
    "runner": ("effnet.report.runner", "Ü✓🚗"),
    "grid": ("effnet.grid", "Ü✓🚗"),
    "profiles": ("effnet.grid.profiles", "Ü✓🚗"),
    "weights": ("effnet.weights", "Ü✓🚗"),
    "cache": ("effnet.datasets.cache",),
}


def environment(**values):
    hidden = ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG")
    return {k: v for k, v in os.environ.items() if k not in hidden} | values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "Ünï ✓ 🚗"
    path.mkdir()
    return path


# A command that answers and one that refuses; each goes through `command_line` (below).
CASES = [("verdicts", "cp1252"), ("runner", "C"), ("cache", "ascii"), ("profiles", "ascii")]
ALL = [*((c, "ascii") for c in COMMANDS), ("verdicts", "cp1252"), ("report", "C"), ("runner", "C")]


@pytest.mark.parametrize(("command", "console"), ALL if CAMPAIGN else CASES)
def test_no_console_breaks_a_command(command, console, folder):
    module, *arguments = COMMANDS[command]
    arguments = [argument.format(folder=folder) for argument in arguments]
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, cwd=ROOT, env=environment(**CONSOLES[console]),
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert output.strip() and b"Traceback" not in output, output.decode("utf-8", "replace")
    assert b"UnicodeEncodeError" not in output
    if command in ("verdicts", "report", "cache"):
        assert result.returncode == 0
    else:
        assert result.returncode in (1, 2) and b"\\u" in output


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{python} -m effnet.verdicts '{folder}' | head -1", 0),
        pytest.param("{python} -m effnet.verdicts '{folder}' | true", 0, marks=ONLY_CAMPAIGN),
        ("{python} -m effnet.report.runner nothing 2>&1 | true", 1),
    ],
)
def test_a_closed_pipe_ends_a_command_silently(command, code, folder):
    line = command.format(python=sys.executable, folder=folder)
    line += '; exit "${PIPESTATUS[0]}"'
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=ROOT)
    assert result.stderr == "" and result.returncode == code
    assert len(result.stdout.splitlines()) <= 1


def test_work_that_a_closed_pipe_stopped_is_not_called_done():
    program = """
import sys
from effnet.errors import command_line
def main():
    while True:
        print("epoch")
command_line(main)
"""
    line = f"'{sys.executable}' -c '{program}' | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=ROOT)
    assert (result.stdout, result.stderr, result.returncode) == ("epoch\n", "", 141)


def test_another_pipe_that_breaks_is_still_an_error():
    program = """
import os
from effnet.errors import command_line
def main():
    end, pipe = os.pipe()
    os.close(end)
    os.write(pipe, b"x")
command_line(main)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 1 and "BrokenPipeError" in result.stderr


def test_every_command_goes_through_command_line():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(r'^if __name__ == "__main__":', text, re.M):
            own = path.relative_to(PACKAGE).as_posix() in ("datasets/check.py", "datasets/fetch.py")
            assert own or "command_line(main)" in text, path
