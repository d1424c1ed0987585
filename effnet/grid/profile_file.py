"""A profile's file: found by the name given, read and checked; errors say the line."""

import re
import typing
from pathlib import Path
from typing import Any, NoReturn

import yaml

from effnet import thesis
from effnet.errors import EffnetError
from effnet.paths import relative
from effnet.trial import check_field, check_fields, resolve

FOLDER = Path(__file__).parent / "profiles"
KEYS = ("like", "note", "seeds", "trial", "groups")
GROUP_KEYS = ("trial", "grid", "vary", "runs", "keep_weights")
TAKEN = ("runs",)  # in reports/: where `effnet.run` puts runs without a profile
# What a `data_dir` may be besides a folder: a variable of the environment that names one, here with
# the folder that it names where it is not set.
VARIABLES = {"$STANFORD_CARS": "data/stanford_cars", "$STANFORD_CARS_FRAMES": None}

Place: typing.TypeAlias = tuple[Any, ...]  # of a value: the keys that lead to it


class Places(dict[Place, str]):
    """File and line of every key and item, by the keys that lead to it."""

    def fail(self, place: Place, message: str) -> NoReturn:
        """Raise EffnetError with the line of `place`, or of what is around it, and its group."""
        group = f"group {place[1]}: " if place[:1] == ("groups",) and len(place) > 1 else ""
        while place not in self:
            place = place[:-1]
        raise EffnetError(f"{self[place]}: {group}{message}")


def find(name: str) -> Path:
    """The file of the profile called `name`: one of the kit's, or the path of another one.

    Relative paths start at the checkout. Raises EffnetError for an unknown name, and for a file
    whose name cannot be that of a folder of reports.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name in known:
        return FOLDER / f"{name}.yaml"
    what = f"profile is {name!r}"
    if not name.endswith(".yaml"):
        raise EffnetError(
            f"{what}: allowed are {', '.join(known)}, or the path of a file that ends with .yaml."
        )
    path = resolve(name)
    if not path.is_file():
        raise EffnetError(f"{what}: no file is at {path}.")
    results = f"{what}: its results would go to reports/{path.stem}"
    if path.stem.lower() in (*known, *TAKEN):
        raise EffnetError(f"{results}, where others are. Give the file another name.")
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", path.stem):
        raise EffnetError(
            f"{results}. Give the file a name of at most 64 letters, digits, - and _, which begins "
            "with a letter or a digit."
        )
    return path


def read(path: Path, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Places]:
    """A profile's file with values of the right types, on top of the one that it is `like`.

    Returns it with the places of everything in it. Raises EffnetError for what is no profile.
    """
    raw, places = _parse(path)
    _mapping(raw, (), places, KEYS)
    if "note" in raw and not (isinstance(raw["note"], str) and raw["note"].strip()):
        places.fail(("note",), f"note is {raw['note']!r}: it must be a text.")
    if "seeds" in raw:
        _check_seeds(raw["seeds"], places)
    raw["trial"] = _values(raw.get("trial", {}), ("trial",), places)
    groups = _mapping(raw.get("groups", {}), ("groups",), places)
    raw["groups"] = {name: _group(spec, ("groups", name), places) for name, spec in groups.items()}
    if "like" in raw:
        others = {file.stem: file for file in FOLDER.glob("*.yaml") if file not in (path, *above)}
        if str(raw["like"]) not in others:
            allowed = ", ".join(sorted(others))
            places.fail(("like",), f"like is {raw['like']!r}: allowed are {allowed}.")
        base, elsewhere = read(others[raw["like"]], (path, *above))
        merged = {key: base[key] | raw[key] for key in ("trial", "groups")}
        # A group is replaced whole: nothing of the other file's is left of it.
        kept = {place: line for place, line in elsewhere.items() if place[:2] not in places}
        return base | raw | merged, Places(kept | places)
    for key, what in (("note", "a text on what its numbers are worth"), ("groups", "its trials")):
        if not raw.get(key):
            places.fail((key,), f"{key} is missing: it is {what}.")
    return raw, places


def _parse(path: Path) -> tuple[Any, Places]:
    """What a file of YAML holds. Raises EffnetError where it is none, or holds a key twice."""
    file, places = relative(path), Places()

    def note(node: yaml.Node, place: Place) -> None:
        places.setdefault(place, f"{file}, line {node.start_mark.line + 1}")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                line = f"{file}, line {key.start_mark.line + 1}"
                if inner in places:
                    raise EffnetError(f"{line}: {key.value!r} stands there for the second time.")
                places[inner] = line
                note(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                note(value, (*place, index))

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise EffnetError(f"{file} is empty: a profile has {', '.join(KEYS[1:])}.")
        note(node, ())
        return loader.construct_document(node), places
    except OSError as error:
        raise EffnetError(f"{file} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise EffnetError(f"{file} is no text in UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise EffnetError(f"{file}{line} is no YAML: {what}.") from None


def _mapping(
    value: Any, place: Place, places: Places, allowed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`value`, where it is a mapping from texts (from `allowed` ones, where some are given)."""
    what = place[-1] if place else "the file"
    if not isinstance(value, dict):
        places.fail(place, f"{what} is {value!r}: it must be a mapping, lines of `name: value`.")
    for key in value:
        if not isinstance(key, str) or not key.strip():
            places.fail((*place, str(key)), f"the name {key!r} is no text: write it in quotes.")
        if allowed and key not in allowed:
            message = f"unknown key {key!r} in {what}: allowed are {', '.join(allowed)}."
            places.fail((*place, key), message)
    return value


def _group(spec: Any, place: Place, places: Places) -> dict[str, Any]:
    """A group with values of the right types."""
    spec = dict(_mapping(spec, place, places, GROUP_KEYS))
    if not isinstance(keep := spec.get("keep_weights", True), bool):
        places.fail((*place, "keep_weights"), f"keep_weights is {keep!r}: true or false.")
    if not any(spec.get(key) for key in ("grid", "vary", "runs")):
        message = "it has no trial: give it a `grid`, something to `vary`, or `runs`"
        places.fail(place, f"{message} (`runs: {{one: {{}}}}` is one, of the group's values).")
    if "grid" in spec and "vary" in spec:
        places.fail((*place, "vary"), "it has a `grid` and something to `vary`: take one.")
    spec["trial"] = _values(spec.get("trial", {}), (*place, "trial"), places)
    if spec.get("grid") == "thesis":
        known = list(thesis.grid()["group"].unique())
        if place[1] not in known:
            allowed = ", ".join(known)
            places.fail((*place, "grid"), f"the thesis has a grid of {allowed} alone.")
    elif key := next((key for key in ("grid", "vary") if key in spec), None):
        lists = _mapping(spec[key], (*place, key), places)
        spec[key] = {
            name: _list(name, values, (*place, key, name), places) for name, values in lists.items()
        }
    runs = _mapping(spec.get("runs", {}), (*place, "runs"), places)
    spec["runs"] = {
        label: _values({} if values is None else values, (*place, "runs", label), places)
        for label, values in runs.items()
    }
    return spec


def _list(name: str, values: Any, place: Place, places: Places) -> list[Any]:
    if not isinstance(values, list) or not values:
        places.fail(place, f"{name} is {values!r}: it must be a list of values.")
    return [_value(name, value, (*place, index), places) for index, value in enumerate(values)]


def _values(values: Any, place: Place, places: Places) -> dict[str, Any]:
    """Hyperparameters, each in its type and range."""
    found = _mapping(values, place, places)
    return {name: _value(name, value, (*place, name), places) for name, value in found.items()}


def _value(name: str, value: Any, place: Place, places: Places) -> Any:
    # YAML's nothing is `null`; who thinks in Python writes this, and no field has it as a word.
    value = None if value == "None" else value
    if name == "data_dir" and str(value).startswith("$") and value not in VARIABLES:
        allowed = " and ".join(VARIABLES)
        places.fail(place, f"data_dir is {value!r}: of variables, {allowed} are allowed.")
    try:
        check_fields([name])
        return check_field(name, value)
    except EffnetError as error:
        places.fail(place, str(error))


def _check_seeds(seeds: Any, places: Places) -> None:
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        places.fail(
            ("seeds",), f"seeds is {seeds!r}: it must be a list of different whole numbers from 0."
        )
