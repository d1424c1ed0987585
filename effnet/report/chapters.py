"""The chapters in notebooks/: which files they are, and how git sees them: as nobody ran them.

JupyterLab writes outputs, counts and its kernel's name into what it saves. `make env` gives this
clone, and nothing that is committed, a filter through which git looks at notebooks: one that was
only run and saved does not count as changed. `make unstrip` removes it, `make strip` does the same
to the files themselves, `make lint` says where it is to be done.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from effnet.errors import EffnetError, command_line
from effnet.files import atomic_write
from effnet.paths import ROOT, relative

NOTEBOOKS = ROOT / "notebooks"
CHAPTER = re.compile(r"[0-9]{2}_[a-z0-9_]+\.ipynb")
# What editors and papermill leave beside outputs and counts, which nbstripout knows by itself.
LEFT = " ".join(
    [f"metadata.language_info.{name}" for name in (
        "codemirror_mode", "file_extension", "mimetype", "nbconvert_exporter", "pygments_lexer",
        "version",
    )]
    + [f"{where}.{name}" for where in ("metadata", "cell.metadata")
       for name in ("papermill", "vscode")]
    + [f"cell.metadata.{name}" for name in ("editable", "jupyter", "jp-MarkdownHeadingCollapsed")]
)  # fmt: skip
# The kernel is this environment's, whatever another one calls it. In front of nbstripout: a pipe
# fails where its last part does, and git takes a file as it is where its filter fails.
KERNEL = " ".join(
    ["sed"]
    + [
        f'-e \'/^  "kernelspec": {{/,/^  }}/s/"{key}": ".*"/"{key}": "{value}"/\''
        for key, value in (("display_name", "Python 3 (ipykernel)"), ("name", "python3"))
    ]
)
STRIPOUT = [sys.executable, "-m", "nbstripout"]


def chapters(folder: Path = NOTEBOOKS) -> list[Path]:
    """Notebooks called 00_like_this.ipynb; copies, drafts and what else lies there are none."""
    return sorted(path for path in folder.glob("*.ipynb") if CHAPTER.fullmatch(path.name))


def stripped() -> dict[Path, bytes]:
    """Every chapter as it is committed. Raises EffnetError for what is no notebook."""
    with tempfile.TemporaryDirectory() as folder:
        copies = {path: Path(folder) / path.name for path in chapters()}
        for path, copy in copies.items():
            with open(path, "rb") as source, open(copy, "wb") as target:
                subprocess.run(KERNEL, shell=True, stdin=source, stdout=target, check=True)
        command = [*STRIPOUT, "--keep-id", "--extra-keys", LEFT, *map(str, copies.values())]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().replace(folder, relative(NOTEBOOKS))
            raise EffnetError(f"nbstripout cannot strip the notebooks: {reason}")
        return {path: copy.read_bytes() for path, copy in copies.items()}


def strip() -> None:
    """Take out of the chapters what running and saving them left there."""
    for path, content in stripped().items():
        if content != path.read_bytes():
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
            print(f"stripped {relative(path)}")


def check() -> None:
    """Raise EffnetError where a chapter is not as it is committed."""
    marked = [path.name for path, content in stripped().items() if content != path.read_bytes()]
    if marked:
        raise EffnetError(
            f"notebooks/: outputs, counts or an editor's marks are in {', '.join(marked)}. "
            "`make strip` takes them out."
        )


def install() -> None:
    """Set git's filter in this clone alone; nothing where the kit is no clone, or git is absent."""
    if (attributes := _attributes()) is None:
        return
    known = _git("config", "filter.nbstripout.clean")
    command = [*STRIPOUT, "--install", "--attributes", attributes]
    subprocess.run(command, cwd=ROOT, capture_output=True)
    keeping = f"{shlex.join(STRIPOUT)} --keep-id"
    for name, value in (
        ("filter.nbstripout.clean", f"{KERNEL} | {keeping}"),
        ("filter.nbstripout.extrakeys", LEFT),
        ("filter.nbstripout.required", "false"),  # git goes on where the environment is gone
        ("diff.ipynb.textconv", f'show() {{ {KERNEL} "$1" | {keeping}; }}; show'),
    ):
        if _git("config", name, value) is None:
            print(f"git's settings cannot be written: {name} is as it was")
    if known is None:
        print("git looks at notebooks without outputs, in this clone (`make unstrip` ends that)")


def saved(model: dict[str, Any], os_path: str, **_: Any) -> None:
    """Jupyter's hook after a save (`make lab`): git forgets the size that the notebook had.

    Where a file has another size than it remembers, git calls it changed without looking through
    the filter. What is staged stays as it is.
    """
    path = os.path.realpath(os_path)
    entry = _git("ls-files", "--stage", "--", path) if model["type"] == "notebook" else None
    if entry:
        mode, blob, rest = entry.split(maxsplit=2)
        _git("update-index", "--cacheinfo", f"{mode},{blob},{rest.partition(chr(9))[2]}")


def uninstall() -> None:
    """Remove git's filter from this clone."""
    if (attributes := _attributes()) is None:
        raise EffnetError(f"{ROOT} is no clone of its own, or git is not there: nothing to remove.")
    subprocess.run([*STRIPOUT, "--uninstall", "--attributes", attributes], cwd=ROOT)
    _git("config", "--unset", "filter.nbstripout.extrakeys")
    print("git looks at notebooks as they are (the next `make env` that installs something, or "
          "python -m effnet.report.chapters install, sets the filter again)")  # fmt: skip


def _attributes() -> str | None:
    """The clone's own file of attributes; None where the kit is not the top of a clone."""
    top = _git("rev-parse", "--show-prefix") == ""  # not a folder in somebody's repository
    return _git("rev-parse", "--git-path", "info/attributes") if top else None


def _git(*arguments: str) -> str | None:
    """What git says; None where it is absent or says no."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> None:
    commands = {"strip": strip, "check": check, "install": install, "uninstall": uninstall}
    parser = argparse.ArgumentParser(prog="python -m effnet.report.chapters", description=__doc__)
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    command_line(main)
