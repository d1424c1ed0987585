"""Run a numbered notebook headless, checked before a kernel starts.

`python -m effnet.report.runner 03 -p dropout_rate 0.3` from anywhere; without `-p` the executed
notebook goes to reports/<profile>/notebooks/, with it below reports/<profile>/custom/.
"""

import argparse
import os
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effnet.errors import EffnetError, command_line
from effnet.files import atomic_write
from effnet.paths import ROOT, relative
from effnet.report.failures import note_failure
from effnet.report.notebooks import FAILED
from effnet.report.parameters import OWN_PARAMETERS, check_names
from effnet.report.session import Session

NOTEBOOKS = ROOT / "notebooks"


class NotebookFailed(EffnetError):
    """A cell failed or the kernel died; the execution is kept with this message in it."""


def find_notebook(name: str) -> Path:
    """The notebook that `name` ("03", "03_train_pretrained", a path) means."""
    stem = Path(name).stem
    notebooks = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    found = [path for path in notebooks if path.stem == stem or path.stem.startswith(f"{stem}_")]
    if len(found) != 1:
        raise EffnetError(
            f"no notebook is called {name!r}: there are "
            f"{', '.join(path.stem for path in notebooks)} (the number is enough)."
        )
    return found[0]


def run_notebook(name: str, profile: str = "demo", **parameters: Any) -> Path:
    """Execute a notebook under a profile with parameters; returns the executed notebook.

    Raises EffnetError before a kernel starts for an unknown parameter, a wrong type, a value out
    of range or missing data; and, naming notebook, cell and the command to run it again, where a
    cell fails. What was executed is kept beside the target then, as `.failed.ipynb` with the
    message in it; an executed notebook of before is removed, for it no longer says what is so.
    """
    import papermill

    path = find_notebook(name)
    known = set(papermill.inspect_notebook(str(path)))
    check_names(set(parameters), known, path.stem)
    overrides = {k: v for k, v in parameters.items() if k not in OWN_PARAMETERS and v is not None}
    tracker = parameters.get("tracker") or "none"
    session = Session(profile, path.stem, _group(path), overrides, tracker)
    target = session.reports / "notebooks" / path.name
    again = ["make", "run", f"NB={path.stem[:2]}", f"PROFILE={profile}"]
    arguments = " ".join(f"-p {k} {shlex.quote(str(v))}" for k, v in parameters.items())
    again += [f"ARGS={shlex.quote(arguments)}"] if parameters else []
    _check_data(session)
    start, begun = time.perf_counter(), datetime.now(UTC)
    failed = target.with_suffix(FAILED)
    try:
        _execute(path, target, {"profile": profile, **parameters})
    except NotebookFailed as error:
        _keep(failed, str(error), begun)
        for stale in (target, target.with_suffix(".html")):
            stale.unlink(missing_ok=True)
        raise NotebookFailed(
            f"notebook {path.name} {error}\n  executed so far: {relative(failed)}"
            f"\n  run it again: {' '.join(again)}"
        ) from None
    failed.unlink(missing_ok=True)
    print(f"{path.stem}: {time.perf_counter() - start:.0f} s, {relative(target)}", flush=True)
    return target


def _execute(path: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Execute into `target`, or into its `.failed.ipynb`; raises NotebookFailed then."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    # A kernel of the same name elsewhere on the machine must not win over this environment's.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    with atomic_write(target) as partial:
        try:
            papermill.execute_notebook(
                str(path),
                str(partial),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(NOTEBOOKS),
                progress_bar=False,
                # The kernel warns of its own transport, and calls its end an interrupt.
                extra_arguments=["--log-level=CRITICAL"],
                log_output=False,
            )
        except papermill.PapermillExecutionError as error:
            os.replace(partial, target.with_suffix(FAILED))
            raise NotebookFailed(
                f"failed in cell {error.cell_index} (In [{error.exec_count}]): "
                f"{error.ename}: {error.evalue}"
            ) from None
        except DeadKernelError:
            os.replace(partial, target.with_suffix(FAILED))
            raise NotebookFailed(
                "failed: its kernel was ended from outside, as the system does where memory is "
                "short."
            ) from None


def _keep(failed: Path, message: str, begun: datetime) -> None:
    """Write the message of a failed execution into what is kept of it."""
    import nbformat

    notebook = nbformat.read(failed, as_version=4)
    note_failure(notebook, message, begun)
    with atomic_write(failed) as temporary:
        nbformat.write(notebook, temporary)


def _group(path: Path) -> str | None:
    """The group of trials that a notebook's parameters belong to."""
    return {"03": "pretrained", "04": "scratch_rgb"}.get(path.stem[:2])


def _check_data(session: Session) -> None:
    """Refuse a missing or empty data folder without starting a kernel."""
    from effnet.datasets.layouts import read_annotations
    from effnet.demo.folder import DRAWN

    # Records stand for images, and drawn images are made on demand.
    if not session.recorded and session.trial.path() not in DRAWN:
        read_annotations(session.trial.path())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.runner", description=__doc__)
    parser.add_argument("notebook", help="its number or name")
    parser.add_argument("--profile", default="demo")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter"
    )
    parser.add_argument("--go-on", action="store_true", help="exit with 0 even where a cell fails")
    arguments = parser.parse_args()
    values = {name: _literal(value) for name, value in arguments.p}
    try:
        run_notebook(arguments.notebook, **{"profile": arguments.profile} | values)
    except NotebookFailed as error:
        if not arguments.go_on:
            raise
        print(f"error: {error}\ngoing on without it", file=sys.stderr)


def _literal(text: str) -> Any:
    """A command line's value as papermill reads it, and `false` as false."""
    from papermill.cli import _resolve_type

    named = {"true": True, "false": False, "none": None}
    return named[text.lower()] if text.lower() in named else _resolve_type(text)


if __name__ == "__main__":
    command_line(main)
