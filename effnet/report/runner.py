"""Run a numbered notebook headless, checked before a kernel starts.

`python -m effnet.report.runner 03 -p dropout_rate 0.3` from anywhere; without parameters the
executed notebook goes to reports/<profile>/notebooks/, with some below reports/<profile>/custom/.
"""

import argparse
import ast
import os
import re
import shlex
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from effnet.errors import EffnetError, command_line
from effnet.files import atomic_write
from effnet.grid.profiles import Profile
from effnet.paths import relative
from effnet.report.chapters import NOTEBOOKS, chapters
from effnet.report.failures import note_failure
from effnet.report.notebooks import FAILED
from effnet.report.own import OWN
from effnet.report.parameters import OWN_PARAMETERS, check_names, read_yaml, settle
from effnet.report.session import Session
from effnet.trial import PUBLISHED

# The group of a profile that a notebook's own trial belongs to; the others take any.
GROUPS = {"03": "pretrained", "04": "scratch_rgb", OWN: "scratch_rgb"}


class NotebookFailed(EffnetError):
    """A cell failed or the kernel died; the execution is kept with this message in it."""


def find_notebook(name: str) -> Path:
    """The notebook that `name` ("03", "03_train_pretrained", a path) means."""
    stem = Path(name).stem
    notebooks = chapters()
    found = [path for path in notebooks if path.stem == stem or path.stem.startswith(f"{stem}_")]
    if len(found) != 1:
        raise EffnetError(
            f"no notebook is called {name!r}: there are "
            f"{', '.join(path.stem for path in notebooks)} (the number is enough)."
        )
    return found[0]


def notebooks_of(profile: Profile) -> list[str]:
    """Names of the notebooks whose group of trials a profile has, but the one on own images."""
    names = [path.stem for path in chapters() if path.stem[:2] != OWN]
    return [name for name in names if GROUPS.get(name[:2]) in (None, *profile.groups)]


def run_notebook(
    name: str, /, profile: str = "demo", *, show: bool = False, **parameters: Any
) -> Path:
    """Execute a notebook under a profile with parameters; returns the executed notebook.

    A hyperparameter that the notebook's cell does not list goes there in its parameter `more`. With
    `show` what the cells print is printed here as it comes, an epoch's line too.
    Raises EffnetError before a kernel starts for an unknown parameter, a wrong type, a value out
    of range, missing data or a checkpoint that does not fit; and, naming notebook, cell and the
    command to run it again, where a cell fails. What was executed is kept beside the target then,
    as `.failed.ipynb` with the message in it; an executed notebook of before is removed, for it no
    longer says what is so.
    """
    import papermill

    path = find_notebook(name)
    cell = {n: _default(p) for n, p in papermill.inspect_notebook(str(path)).items()}
    check_names(set(parameters), set(cell), path.stem)
    overrides, tracker = settle(cell | parameters)
    session = Session(profile, path.stem, GROUPS.get(path.stem[:2]), overrides, tracker)
    target = session.reports / "notebooks" / path.name
    again = ["make", "run", f"NB={path.stem[:2]}", f"PROFILE={profile}"]
    given = {n: overrides.get(n) for n in cell if n not in OWN_PARAMETERS}
    given = {n: value for n, value in given.items() if value != cell[n]}
    given |= {} if tracker == "none" else {"tracker": tracker}
    more = {n: value for n, value in overrides.items() if n not in cell}
    arguments = " ".join(_argument(n, value) for n, value in (given | more).items())
    again += [f"ARGS={shlex.quote(arguments)}"] if arguments else []
    _check_inputs(session)
    start, begun = time.perf_counter(), datetime.now(UTC)
    failed = target.with_suffix(FAILED)
    try:
        values = {"profile": profile, **given, **({"more": more} if more else {})}
        _execute(path, target, values, sys.stdout if show else None)
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


def _default(parameter: dict[str, Any]) -> Any:
    """The value that a notebook's own cell gives a parameter; None for what is no literal."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(parameter["default"])
    return None


def _execute(path: Path, target: Path, parameters: dict[str, Any], stdout: TextIO | None) -> None:
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
                stdout_file=stdout,
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


def _check_inputs(session: Session) -> None:
    """Refuse missing data and a checkpoint that does not fit without starting a kernel."""
    from effnet.datasets.layouts import read_annotations
    from effnet.demo.folder import DRAWN

    trial = session.trial
    if trial.weights not in (None, "demo", *PUBLISHED):  # those are made or fetched on demand
        from effnet.train import checkpoint_path, make_model

        make_model(trial, 2, checkpoint_path(trial))
    # Records stand for images, and drawn images are made on demand.
    if not session.recorded and trial.path() not in DRAWN:
        read_annotations(trial.path())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.runner", description=__doc__)
    parser.add_argument("notebook", nargs="?", help="its number or name")
    parser.add_argument("--profile", default="demo", help="name, or path of a .yaml")
    # As newer Pythons do: -1e-3 is a value, not an option.
    parser._negative_number_matcher = re.compile(r"-(\.?\d|inf$|nan$)")
    options: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("-p", nargs=2, metavar=("NAME", "VALUE"), help="a parameter", **options)
    parser.add_argument("-r", nargs=2, metavar=("NAME", "TEXT"), help="one as text", **options)
    parser.add_argument("-f", metavar="FILE", help="a YAML file of parameters", **options)
    parser.add_argument("-y", metavar="YAML", help="parameters as '{epochs: 2}'", **options)
    parser.add_argument("--go-on", action="store_true", help="exit with 0 even where a cell fails")
    parser.add_argument("--list", action="store_true", help="only print which the profile has")
    arguments = parser.parse_args()
    if arguments.list:
        return print(*notebooks_of(Profile.load(arguments.profile)))
    if arguments.notebook is None:
        parser.error("say which notebook, or --list")
    values = _parameters(arguments)
    if "show" in values:
        raise EffnetError("no notebook has a parameter 'show'.")
    try:
        shown = not arguments.go_on  # where several run at once, lines would mix
        values = {"profile": arguments.profile} | values
        run_notebook(arguments.notebook, show=shown, **values)
    except NotebookFailed as error:
        if not arguments.go_on:
            raise
        print(f"error: {error}\ngoing on without it", file=sys.stderr)


def _parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters of a command line, read as papermill reads them; later options win."""
    from papermill.cli import _resolve_type

    values: dict[str, Any] = {}
    for file in arguments.f:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise EffnetError(f"-f {file} cannot be read: {reason}.") from None
        values |= read_yaml(text, f"-f {file}")
    for text in arguments.y:
        values |= read_yaml(text, f"-y {text}")
    return values | {name: _resolve_type(text) for name, text in arguments.p} | dict(arguments.r)


def _argument(name: str, value: Any) -> str:
    """A parameter on a command line; text that would be read as something else is given raw."""
    from papermill.cli import _resolve_type

    raw = isinstance(value, str) and _resolve_type(value) != value
    return f"{'-r' if raw else '-p'} {name} {shlex.quote(str(value))}"


if __name__ == "__main__":
    command_line(main)
