"""What can happen to a file: it is gone, empty, cut, or one of its bits has turned."""

from pathlib import Path

DAMAGES = ("missing", "empty", "cut", "flipped")


def damage(path: Path, how: str, at: float = 0.5) -> None:
    """Do it to the file; `at` is the place of a flipped bit, as a share of its length."""
    content = bytearray(path.read_bytes())
    path.unlink()  # a new inode, as a restored backup has
    if how == "missing":
        return
    if how == "flipped":
        content[int(at * (len(content) - 1))] ^= 1
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(how, content))
