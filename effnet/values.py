"""One value from whoever gives it (Python, a command line, YAML), in the type it is to have."""

import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from effnet.errors import EffnetError

NOTHING = ("none", "null")  # what command lines and YAML hand over as text for None
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def is_none(value: Any, hint: Any) -> bool:
    """Whether a value leaves a field of this type open: None, or text that says so.

    Not where the field takes one of some words: there `none` is one of them, or wrong.
    """
    words = typing.get_origin(_kind(hint)[0]) is Literal
    return value is None or (isinstance(value, str) and value.lower() in NOTHING and not words)


def check_value(name: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    """The value in its field's type, or EffnetError.

    Spellings that tools hand over as text are read as what they mean: `false` from a command line,
    `1e-3` from YAML, and `none` from both.
    """
    kind, optional = _kind(hint)
    if optional and is_none(value, hint):
        return None
    none = ", or None" if optional else ""
    if typing.get_origin(kind) is Literal:
        allowed = typing.get_args(kind)
        if isinstance(value, str) and value in allowed:
            return value
        words = ", ".join(map(repr, allowed))
        raise EffnetError(f"{name} is {shown(value)}: allowed are {words}{none}.")
    if kind in (int, float) and isinstance(value, str):
        value = _number(value)
    converted = _convert(value, kind)
    if converted is None:
        what = f"{shown(value)} ({type(value).__name__})"
        raise EffnetError(f"{name} is {what}: it must be {KINDS[kind]}{none}.")
    low, high = limits.get("low"), limits.get("high")
    below = low is not None and not converted >= low  # written so that NaN is refused too
    above = high is not None and not converted <= high
    if below or above:
        bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise EffnetError(f"{name} is {shown(converted)}: allowed is {bounds}.")
    return converted


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:80]}..."


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type itself, and whether None is allowed beside it."""
    if type(None) not in typing.get_args(hint):
        return hint, False
    return next(a for a in typing.get_args(hint) if a is not types.NoneType), True


def _number(text: str) -> Any:
    """The number that a text is, whole where it is written so; the text where it is none."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    return text


def _convert(value: Any, kind: type) -> Any:
    """The value as `kind` where nothing is guessed or lost, else None."""
    truth = isinstance(value, bool | np.bool_)
    if kind is bool and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    if kind is bool:
        return bool(value) if truth else None
    if kind is str:
        return str(value) if isinstance(value, str | Path) else None
    if truth or isinstance(value, str):
        return None
    if kind is int and isinstance(value, int):
        return value  # as it is: a float would round large ones
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    except OverflowError:  # of a whole number
        number = math.inf if value > 0 else -math.inf
    if kind is float:
        return number
    return int(number) if number.is_integer() else None
