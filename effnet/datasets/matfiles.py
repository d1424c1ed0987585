"""MATLAB files of Stanford Cars, read so that a damaged one is refused and never misread.

scipy reads such files too, but one flipped bit can end the whole process there (a segmentation
fault, shown in `tests/datasets/test_fuzz_readers.py`). The few types that annotations need take the
lines below.
The format: "MAT-File Format", The MathWorks, level 5.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from effnet.errors import EffnetError

# The real files hold some hundred kilobytes; the limit only stops a decompression bomb.
MAX_BYTES = 256 * 2**20
MAX_DEPTH = 8
MI_MATRIX, MI_COMPRESSED = 14, 15
# Number types as struct's codes.
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
TEXTS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
MX_CELL, MX_STRUCT, MX_CHAR = 1, 2, 4
MX_NUMBERS = range(6, 16)


@dataclass(frozen=True)
class Struct:
    """A struct array: its field names and its elements, a tuple of values each."""

    fields: list[str]
    rows: list[tuple]


class _Damaged(Exception):
    pass


def read_mat(path: Path | str) -> dict[str, Any]:
    """The variables of a MATLAB 5 to 7.2 file by name.

    A value is a number, a 1-D array of numbers (column by column), a str, a list (cell array) or a
    Struct. Raises EffnetError when the file is missing, truncated, fails its own checksums, or
    holds anything else. A changed byte in a *compressed* variable (MATLAB's default, and what the
    dataset ships) is always noticed; in an uncompressed one only where it breaks the structure.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EffnetError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if content.startswith((b"\x89HDF", b"MATLAB 7.3")):
        raise EffnetError(f"{path}: is a MATLAB 7.3 file; save it again with '-v7'.")
    try:
        return _variables(content)
    except _Damaged as error:
        raise EffnetError(
            f"{path}: not a readable MATLAB file ({error}). Fetch it again, `make data` says where."
        ) from None


def read_records(path: Path | str, variable: str, fields: tuple[str, ...]) -> list[np.ndarray]:
    """The named fields of a struct array: one object array of shape (N,) each, in `fields` order.

    Raises EffnetError when the variable or a field is missing, or the variable is no struct.
    """
    records = _variable(path, variable)
    names = records.fields if isinstance(records, Struct) else []
    if not set(fields) <= set(names) or len(set(names)) < len(names) or not records.rows:
        raise EffnetError(
            f"{path}: '{variable}' must be a struct array with the fields {', '.join(fields)}; "
            f"found {', '.join(names) or type(records).__name__}."
        )
    columns = []
    for field in fields:
        column = np.empty(len(records.rows), dtype=object)
        i = names.index(field)
        column[:] = [row[i] for row in records.rows]
        columns.append(column)
    return columns


def read_names(path: Path | str, variable: str = "class_names") -> list[str]:
    """A cell array of class names, stripped. Raises EffnetError unless all are distinct text."""
    names = _variable(path, variable)
    fit = isinstance(names, list) and all(isinstance(n, str) and n.strip() for n in names)
    if not fit or not names:
        raise EffnetError(f"{path}: '{variable}' must be a cell array of class names.")
    names = [name.strip() for name in names]
    if not all(name.isprintable() for name in names):
        raise EffnetError(f"{path}: '{variable}' holds control characters.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise EffnetError(f"{path}: the class names must be distinct, found twice: {twice[:3]}.")
    return names


def _variable(path: Path | str, name: str) -> Any:
    variables = read_mat(path)
    if name not in variables:
        found = ", ".join(sorted(variables)) or "nothing"
        raise EffnetError(f"{path}: needs the variable '{name}', found {found}.")
    return variables[name]


def _variables(content: bytes) -> dict[str, Any]:
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
        raise _Damaged(f"{len(content)} bytes without a MATLAB 5 header")
    order = "<" if content[126:128] == b"IM" else ">"
    variables: dict[str, Any] = {}
    position = 128
    while position < len(content):
        kind, start, end, position = _element(content, position, order, padded=False)
        if kind == MI_COMPRESSED:
            plain = _inflate(content[start:end])
            kind, start, end, rest = _element(plain, 0, order)
            if rest < len(plain):
                raise _Damaged("a compressed variable has the wrong length")
        else:
            plain = content
        if kind != MI_MATRIX:
            raise _Damaged(f"a variable of type {kind}")
        name, value = _matrix(plain, start, end, order)
        if name in variables:
            raise _Damaged(f"two variables {name!r}")
        if name:
            variables[name] = value
    return variables


def _inflate(body: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        # The end of the stream carries its checksum; some MATLAB versions leave it out, so it is
        # verified where it is there, and the length of the variable in any case.
        plain = stream.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise _Damaged(str(error)) from None
    if len(plain) >= MAX_BYTES:
        raise _Damaged(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
    return plain


def _element(
    data: bytes, position: int, order: str, padded: bool = True
) -> tuple[int, int, int, int]:
    """(type, start, end of the content, position of the next element) of an element's tag."""
    if position + 8 > len(data):
        raise _Damaged("it ends within an element")
    kind, size = struct.unpack_from(order + "II", data, position)
    if kind >> 16:  # up to four bytes of content stand in the tag itself
        kind, size, start, following = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        if size > 4:
            raise _Damaged("a short element with a long content")
    else:
        start = position + 8
        following = start + (size + 7 & ~7 if padded else size)
    if start + size > len(data):
        raise _Damaged("it ends within an element")
    return kind, start, start + size, following


def _matrix(data: bytes, start: int, end: int, order: str, depth: int = 0) -> tuple[str, Any]:
    """(name, value) of the array in data[start:end]; nothing there is an empty array."""
    if start == end:
        return "", []
    if depth > MAX_DEPTH:
        raise _Damaged("arrays nested too deeply")
    _, at, stop, position = _element(data, start, order)
    if stop - at != 8:
        raise _Damaged("an array without flags")
    flags, _ = struct.unpack_from(order + "II", data, at)
    kind = flags & 0xFF
    dims, position = _numbers(data, position, order)
    name, position = _text(data, position, order)
    # An array's size is only believed as far as there are bytes for it.
    count = 1
    for size in dims:
        count = count * size if isinstance(size, int) else -1
        if not 0 <= count <= end - start:
            raise _Damaged(f"an array of size {dims}")
    if kind in MX_NUMBERS:
        numbers, position = _numbers(data, position, order)
        value = numbers[0] if len(numbers) == 1 else np.array(numbers)
        fits = len(numbers) == count and dims and not flags & 0x0800  # no imaginary part
    elif kind == MX_CHAR:
        value, position = _text(data, position, order) if position < end else ("", end)
        fits = len(value) == count
    elif kind == MX_CELL:
        value = []
        for _ in range(count):
            item, position = _child(data, position, order, depth)
            value.append(item)
        fits = True
    elif kind == MX_STRUCT:
        value, position = _struct(data, position, order, depth, count, end)
        fits = True
    else:
        raise _Damaged(f"an array of class {kind}")
    if not fits or position > end:
        raise _Damaged("an array whose size and content disagree")
    return name, value


def _struct(
    data: bytes, position: int, order: str, depth: int, count: int, end: int
) -> tuple[Struct, int]:
    lengths, position = _numbers(data, position, order)
    _, at, stop, position = _element(data, position, order)
    length = lengths[0] if len(lengths) == 1 else 0
    if not (isinstance(length, int) and 0 < length <= 64) or (stop - at) % length:
        raise _Damaged("a struct without field names")
    names = [data[i : i + length].split(b"\0")[0] for i in range(at, stop, length)]
    if not all(name.isalnum() or name.replace(b"_", b"").isalnum() for name in names):
        raise _Damaged("a struct with unreadable field names")
    rows = []
    for _ in range(count):
        row = []
        for _ in names:
            item, position = _child(data, position, order, depth)
            row.append(item)
        rows.append(tuple(row))
    return Struct([name.decode("ascii") for name in names], rows), position


def _child(data: bytes, position: int, order: str, depth: int) -> tuple[Any, int]:
    kind, at, stop, position = _element(data, position, order)
    if kind != MI_MATRIX:
        raise _Damaged(f"an element of type {kind} in place of an array")
    return _matrix(data, at, stop, order, depth + 1)[1], position


def _numbers(data: bytes, position: int, order: str) -> tuple[tuple, int]:
    kind, at, stop, position = _element(data, position, order)
    code = NUMBERS.get(kind)
    if code is None or (stop - at) % struct.calcsize(code):
        raise _Damaged(f"numbers of type {kind}")
    values = struct.unpack_from(f"{order}{(stop - at) // struct.calcsize(code)}{code}", data, at)
    return values, position


def _text(data: bytes, position: int, order: str) -> tuple[str, int]:
    kind, at, stop, position = _element(data, position, order)
    if kind not in TEXTS:
        raise _Damaged(f"text of type {kind}")
    encoding = TEXTS[kind] + ({"<": "-le", ">": "-be"}[order] if kind in (4, 17) else "")
    try:
        return data[at:stop].decode(encoding), position
    except UnicodeDecodeError as error:
        raise _Damaged(str(error)) from None
