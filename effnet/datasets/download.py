"""One file over HTTP: resumed where it broke off, verified, and only then given its name.

pooch verifies too, but begins a broken transfer anew, each time from its first byte (shown in
`tests/datasets/test_download.py`).
"""

import hashlib
import http.client
import math
import os
import re
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from effnet import __version__
from effnet.errors import EffnetError
from effnet.files import cannot_write, locked
from effnet.paths import relative

CHUNK = 1 << 16
# Slower than this for a whole `timeout` counts as a stalled connection, bytes per second.
SLOWEST = 100
# Progress that wins a fresh set of retries; less would let a flapping server keep us forever.
WORTHWHILE = 1 << 20


class _Again(Exception):
    """This attempt failed in a way that another one may mend; `wait` is the server's wish."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def download(
    url: str,
    target: Path | str,
    *,
    sha256_prefix: str | None = None,
    md5: str | None = None,
    progress: bool = True,
    retries: int = 4,
    timeout: float = 30.0,
    backoff: float = 1.0,
) -> Path:
    """Fetch `url` (http or https) to `target` and return it; nothing is fetched if it is there.

    A broken transfer stays as `<target>.part` and is resumed with an HTTP range request, in this
    call and, where a checksum is given to prove the result whole, in later ones. `sha256_prefix`
    (any length of hex, as in torch's file names) and `md5` are verified before the rename.

    Redirects are followed; lost connections, silence of `timeout` seconds and the HTTP states 408,
    429 and 5xx are tried again `retries` times, waiting `backoff` * 1, 2, 4... seconds. Processes
    that fetch the same target wait for each other.

    Raises EffnetError with one message when the file cannot be had or its checksum is wrong, and
    CannotWrite when the disk is full (what has arrived is kept) or not ours to write.
    """
    target = Path(target)
    if urlsplit(url).scheme not in ("http", "https"):
        raise EffnetError(f"{shown(url)}: only http and https can be downloaded.")
    given = {"sha256": sha256_prefix, "md5": md5}
    wanted = {name: value.lower() for name, value in given.items() if value}
    part = target.with_name(target.name + ".part")

    def there() -> bool:
        return target.is_file() and not mismatch(target, wanted)

    if there():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{part.name}.lock")
        with locked(lock, f"{relative(target)} is fetched"), ExitStack() as at_end:
            at_end.callback(lock.unlink, missing_ok=True)
            if there():  # another process fetched it while we waited
                return target
            if not wanted:
                part.unlink(missing_ok=True)
            for second_try in (False, True):
                _fetch(url, part, progress, retries, timeout, backoff)
                wrong = mismatch(part, wanted)
                if not wrong:
                    part.replace(target)
                    return target
                # Perhaps an old part of another file was continued: once more from nothing.
                part.unlink()
                if second_try:
                    raise EffnetError(
                        f"{shown(url)}: the file that came is not the right one: "
                        f"{wrong}. Nothing was kept."
                    )
    except OSError as error:
        raise cannot_write(target, error) from error
    raise AssertionError("unreachable")


def mismatch(path: Path, wanted: dict[str, str]) -> str:
    """Compare a file with checksums (prefixes of hex by hash name): what is wrong, or ""."""
    for name, value in wanted.items():
        digest = hashlib.new(name, usedforsecurity=False)
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        found = digest.hexdigest()
        if not found.startswith(value):
            return f"{name} {found[: max(len(value), 8)]}, expected {value}"
    return ""


def shown(url: str) -> str:
    """A URL for messages: without user, password, query and fragment, where secrets travel."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def scrub(error: Exception) -> str:
    """An error of a client as one line without anything that could be a credential."""
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}"
    for name, value in os.environ.items():
        if re.search("KEY|TOKEN|SECRET|PASSWORD", name) and len(value) >= 4:
            text = text.replace(value, "***")
    text = re.sub(r"//[^/\s@]+@", "//", text)  # user:password@host
    text = re.sub(r"\?[^\s'\")>]*", "", text)  # signed queries
    text = re.sub(r"(?i)\b(hf_\w+|bearer\s+\S+|basic\s+\S+|key=\S+|token=\S+)", "***", text)
    return text[:300]


def _fetch(
    url: str, part: Path, progress: bool, retries: int, timeout: float, backoff: float
) -> None:
    """Attempts until `part` is whole, by the server's own length."""
    failures, validator = 0, ""
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            with _open(url, part, before, timeout, validator) as response:
                tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
                validator = "" if not tag or tag.startswith("W/") else tag
                _receive(response, part, before, progress, timeout)
            return
        except (_Again, http.client.HTTPException, urllib.error.URLError, OSError) as error:
            if getattr(error, "filename", None) == str(part):
                raise
            gained = (part.stat().st_size if part.exists() else 0) - before
            failures = 1 if gained >= WORTHWHILE else failures + 1
            if failures > retries:
                reason = getattr(error, "reason", None) or str(error) or type(error).__name__
                raise EffnetError(
                    f"{shown(url)}: could not be fetched after {failures} attempts ({reason}). "
                    "Check the connection and start again: what has arrived is kept."
                ) from None
            wait = max(backoff * 2 ** (failures - 1), getattr(error, "wait", 0.0))
            time.sleep(min(wait, 60.0))


def _open(
    url: str, part: Path, start: int, timeout: float, validator: str
) -> http.client.HTTPResponse:
    headers = {"User-Agent": f"effnet/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:
                part.unlink()
                raise _Again("the part on disk is longer than the file") from None
            if error.code in (408, 429) or error.code >= 500:
                after = error.headers.get("Retry-After", "")
                wait = float(after) if after.isdigit() else 0.0
                raise _Again(f"HTTP {error.code} {error.reason}", wait) from None
            raise EffnetError(
                f"{shown(url)}: HTTP {error.code} {error.reason}. The file is not served there "
                "(any more), or not to everyone."
            ) from None


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, progress: bool, timeout: float
) -> None:
    """Append the body to `part` (or write it anew, when the server ignored the range)."""
    from tqdm import tqdm

    if response.status == 206:
        sent_from = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
        if sent_from != str(start):
            part.unlink(missing_ok=True)
            raise _Again("the server sent another range than asked for")
    else:
        start = 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else None
    bar = tqdm(
        total=total,
        initial=start,
        desc=part.stem,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=not progress,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
    with open(part, "ab" if start else "wb", buffering=0) as file, bar:
        window, received = time.monotonic(), 0
        while chunk := response.read1(CHUNK):
            _write(file, chunk, total)
            bar.update(len(chunk))
            received += len(chunk)
            if (elapsed := time.monotonic() - window) > timeout:
                if received < SLOWEST * elapsed:
                    raise _Again(f"only {received} bytes in {math.ceil(elapsed)} s")
                window, received = time.monotonic(), 0
        size = file.tell()
    if total is not None and size < total:
        raise _Again(f"the connection closed after {size} of {total} bytes")


def _write(file: IO[bytes], chunk: bytes, total: int | None) -> None:
    """A disk's error is not the connection's: trying again would not help."""
    try:
        while chunk:
            chunk = chunk[file.write(chunk) :]  # unbuffered, it may write a part
    except OSError as error:
        left = total - file.tell() if total is not None else 0
        raise cannot_write(file.name, error, f"{left:,} bytes more" if left else "more") from error
