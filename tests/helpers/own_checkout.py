"""A copy of the kit with its own data and reports, for tests that run whole commands in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from effnet.paths import ROOT

SMALL = {"recipe": "thesis", "image_size": 32, "batch_size": 10, "batch_norm_momentum": 0.1}


def make_checkout(folder: Path, **groups: dict) -> Path:
    """The package and the published numbers below `folder`, with a profile called "own".

    The profile's trials are `SMALL` on smoke data; `groups` are as in a profile's file.
    """
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "effnet", folder / "effnet", ignore=skipped)
    shutil.copytree(ROOT / "data/thesis", folder / "data/thesis")
    write_profile(folder / "effnet/grid/profiles/own.yaml", groups)
    return folder


def write_profile(file: Path, groups: dict, **values) -> None:
    """A profile of `SMALL` trials on smoke data, with other values where given."""
    trial = SMALL | {"data_dir": "data/demo_smoke"} | values
    profile = {"note": "Of a test.", "trial": trial, "groups": groups}
    file.write_text(yaml.safe_dump(profile, sort_keys=False))


def start(checkout: Path, *arguments: str, **options) -> subprocess.Popen:
    """`python -m ...` in a checkout, its output to be read as one text."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=checkout, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


def command(checkout: Path, *arguments: str, **options) -> tuple[int, str]:
    """Exit code and output of `python -m ...` in a checkout."""
    process = start(checkout, *arguments, **options)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output
