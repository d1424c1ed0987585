"""The parameters of a notebook: which there are, which were set, what a set of them is called."""

import ast
import json
import math
import re
from typing import Any

from effnet.errors import EffnetError
from effnet.training import identity

# Parameters of a notebook that are no hyperparameter of a trial.
OWN_PARAMETERS = {"profile", "tracker"}
LONGEST = 80  # characters of a label


def check_names(given: set[str], allowed: set[str], notebook: str) -> None:
    """Refuse parameters that the notebook does not have; papermill itself only warns."""
    if unknown := sorted(given - allowed):
        raise EffnetError(
            f"notebook {notebook} has no parameter {', '.join(map(repr, unknown))}; "
            f"allowed are: {', '.join(sorted(allowed))}."
        )


def assigned_names(namespace: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Names that the parameters cell declares, and names that papermill's injected cell assigns.

    The one is known by its annotated lines (`profile: str = ...`), the other by its first line.
    """
    declared, injected = set(), set()
    nodes: list[Any]
    for cell in namespace["In"]:
        if cell.startswith("# Parameters"):
            nodes = [n for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Assign)]
            injected |= {target.id for node in nodes for target in node.targets}
        elif "\nprofile: str = " in f"\n{cell}":
            nodes = [n for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.AnnAssign)]
            declared |= {node.target.id for node in nodes}
    return declared, injected


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
