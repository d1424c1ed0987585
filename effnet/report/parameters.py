"""The parameters of a notebook: which there are, which were set, what a set of them is called."""

import ast
import json
import math
import re
import symtable
from contextlib import suppress
from typing import Any

from effnet.errors import EffnetError
from effnet.training import identity
from effnet.trial import HINTS, check_field, check_fields, field_help
from effnet.values import NOTHING, is_none, shown

# Parameters of a notebook that are no hyperparameter of a trial; `more` holds any of these.
OWN_PARAMETERS = {"profile", "tracker", "more"}
INJECTED = "# Parameters"  # how papermill begins the cell that it adds
LONGEST = 80  # characters of a label


def check_names(given: set[str], declared: set[str], notebook: str) -> None:
    """Refuse parameters that the notebook does not have; papermill itself only warns.

    A notebook that has `more` takes every hyperparameter, declared in its cell or not.
    """
    allowed = declared | (set(field_help()) if "more" in declared else set())
    if unknown := sorted(given - allowed):
        raise EffnetError(
            f"notebook {notebook} has no parameter {', '.join(map(repr, unknown))}; "
            f"allowed are: {', '.join(sorted(allowed))}."
        )


def settle(values: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The hyperparameters that a notebook's parameters set, by name and checked, and its tracker.

    None leaves the profile's value. What `more` holds counts like a parameter of its own. Raises
    EffnetError for a name given twice, an unknown one, and a wrong value.
    """
    more = _mapping(values.get("more"))
    own = {name: value for name, value in values.items() if name not in OWN_PARAMETERS}
    for given in (own, more):
        check_fields(given)
        for name in [name for name, value in given.items() if is_none(value, HINTS[name])]:
            del given[name]
    for name in own.keys() & more.keys():
        raise EffnetError(
            f"{name} is given twice: {shown(own[name])}, and {shown(more[name])} in `more`. Give "
            "it once."
        )
    tracker = values.get("tracker")
    left_open = tracker is None or str(tracker).lower() in NOTHING
    checked = {name: check_field(name, value) for name, value in sorted((own | more).items())}
    return checked, "none" if left_open else str(tracker)


def _mapping(more: Any) -> dict[str, Any]:
    """What the parameter `more` holds; a command line gives it as YAML."""
    if isinstance(more, str):
        more = None if more.lower() in NOTHING else read_yaml(more, "more")
    if not isinstance(more or {}, dict):
        raise EffnetError(
            f"more is {shown(more)}: it must be a mapping of other hyperparameters, as "
            "{'lr_factor': 0.2}."
        )
    return dict(more or {})


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """A mapping from names, given as YAML in `where`, read as papermill reads it."""
    import yaml
    from papermill.iorw import NoDatesSafeLoader

    try:
        found = yaml.load(text, Loader=NoDatesSafeLoader) or {}
    except yaml.YAMLError as error:
        what = getattr(error, "problem", None) or str(error)
        raise EffnetError(f"{where} is no YAML: {what}.") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise EffnetError(
            f"{where} holds {shown(found)}: it must hold names with values, as {{epochs: 2}}."
        )
    return found


def set_in_cells(namespace: dict[str, Any], notebook: str) -> dict[str, Any]:
    """The parameters as the notebook's cell set them, and papermill's below it, by name.

    What counts is the last execution of either, whatever the kernel ran before and between: the
    parameters cell is known by its line `profile`, papermill's by its first line. A name that is
    gone from the cell is not set, though the kernel still knows it. Raises EffnetError for a name
    that the notebook does not have, and where another cell changed a value since.
    """
    declared: dict[str, Any] = {}
    injected: dict[str, Any] = {}
    for cell in namespace["In"]:
        if "profile" not in cell and not cell.startswith(INJECTED):
            continue
        try:
            found, annotated = _assigned(cell, namespace)
        except (SyntaxError, ValueError):  # nor did the kernel run it
            continue
        if cell.startswith(INJECTED) and declared and not annotated:
            injected = found
        # A lone `profile = ...` below a longer cell is somebody's experiment.
        elif "profile" in found and (annotated or len(found) > 1 or len(declared) < 2):
            declared, injected = found, {}
    if not declared:
        raise EffnetError(
            "no cell that sets `profile` was run: run the parameters cell, the notebook's first."
        )
    check_names(set(injected), set(declared), notebook)
    values = declared | injected
    for name, value in values.items():
        now = namespace.get(name)
        if now is not value and (type(now) is not type(value) or now != value):
            raise EffnetError(
                f"{name} is {shown(now)} by now, but {shown(value)} in the parameters cell: set it "
                "there, in the cell with the line `profile`, and run that cell again."
            )
    return values


def _assigned(cell: str, namespace: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Names that a cell assigns, and whether `profile` among them is annotated.

    The value is the cell's own where that is a literal, else what the kernel made of it.
    """
    symbols = symtable.symtable(cell, "parameters", "exec").get_symbols()
    names = {s.get_name(): s for s in symbols if s.is_assigned() and not s.is_imported()}
    literals: dict[str, Any] = {}
    for line in ast.parse(cell).body:
        for node in ast.walk(line):
            if isinstance(node, ast.Name):
                literals.pop(node.id, None)
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if isinstance(line, ast.Assign | ast.AnnAssign) and isinstance(targets[0], ast.Name):
            with suppress(ValueError, TypeError):  # no literal
                literals[targets[0].id] = ast.literal_eval(line.value)  # type: ignore[arg-type]
    found = {name: literals.get(name, namespace.get(name)) for name in names}
    return found, "profile" in names and names["profile"].is_annotated()


def label(overrides: dict[str, Any]) -> str:
    """The folder of a set of overrides, as "dropout_rate=0.3,epochs=5"; no two sets share one.

    Where the text alone could be another set's (a path, the text "1", capitals on a disk that
    does not tell them apart), be cut or be refused by a disk, a hash of the exact values follows
    it: "data_dir=birds-small~0a1b2c3d4e5f6789".
    """
    text = ",".join(f"{name}={value}" for name, value in sorted(overrides.items()))
    if len(text) <= LONGEST and all(map(_speaks_for_itself, overrides.values())):
        return text
    exact = json.dumps(overrides, sort_keys=True, default=repr)
    readable = re.sub(r"[^A-Za-z0-9_.,=]+", "-", text)[: LONGEST - 17].strip("-.,")
    return f"{readable}~{identity.text_hash(exact)[:16]}"


def _speaks_for_itself(value: Any) -> bool:
    """Whether no other value has the same text, on any disk."""
    if isinstance(value, str):
        return bool(re.fullmatch("[a-z][a-z0-9_]*", value)) and value not in ("true", "false")
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
