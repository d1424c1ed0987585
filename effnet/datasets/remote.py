"""Images from a URL: an archive that every machine fetches once, verified (DATA_URL)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from effnet.datasets.archives import SUFFIXES
from effnet.datasets.download import download, mismatch, scrub, shown
from effnet.errors import EffnetError
from effnet.files import atomic_write, locked
from effnet.paths import DATA

FORM = "<url of an archive>#sha256=<its 64 hexadecimal digits>"


def fetched(url: str) -> Path:
    """The archive at `url` (`#sha256=...` at its end), fetched where it is not here yet.

    http and https are resumed where they broke off; any other place that fsspec reaches will do.
    Raises EffnetError for a URL without a whole checksum, for what is no archive, and where it
    cannot be had or is another file.
    """
    address, _, checksum = url.partition("#sha256=")
    name, sha = PurePosixPath(unquote(urlsplit(address).path)).name, checksum.lower()
    if len(sha) != 64 or set(sha) - set("0123456789abcdef"):
        raise EffnetError(
            f"DATA_URL is {shown(url)} with the checksum {checksum!r}: it must be {FORM}, which "
            "`sha256sum` prints."
        )
    if not name.lower().endswith(SUFFIXES):
        raise EffnetError(f"DATA_URL is {shown(url)}: allowed are {', '.join(SUFFIXES)}.")
    target = DATA / "fetched" / sha[:16] / name
    if target.is_file():  # it has its name since it was verified
        return target
    if urlsplit(address).scheme in ("http", "https"):
        return download(address, target, sha256_prefix=sha)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / ".fetched.lock", f"{shown(address)} is fetched"):
        if not target.is_file():
            with atomic_write(target) as new:
                _copy(address, new)
                if wrong := mismatch(new, {"sha256": sha}):
                    raise EffnetError(f"DATA_URL is {shown(address)}: {wrong}. Nothing was kept.")
    return target


def _copy(address: str, target: Path) -> None:
    place = f"DATA_URL is {shown(address)}"
    try:
        with reaching(place, "http and https need nothing more."):
            import fsspec

            files, path = fsspec.core.url_to_fs(address)
            files.get_file(path, os.fspath(target))
    except FileNotFoundError:
        raise EffnetError(f"{place}: nothing is there.") from None


@contextmanager
def reaching(place: str, advice: str, kind: type[EffnetError] = EffnetError) -> Iterator[None]:
    """Ask a place through fsspec; its errors become those of `kind`, without credentials.

    `advice` follows where a package is missing. FileNotFoundError stays what it is.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except ImportError as error:
        raise kind(f"{place}: {error} {advice}") from None
    except Exception as error:  # every kind of place has errors of its own
        raise kind(f"{place}: {scrub(error)}") from None
