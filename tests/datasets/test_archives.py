"""Archives are unpacked whole, once, and never outside their folder."""

import gzip
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import layout_makers as make
import pytest
from layout_makers import message
from places import small_disk

from effnet.datasets import archives
from effnet.datasets.layouts import open_dataset
from effnet.paths import ROOT


def zipped(tmp: Path) -> Path:
    make.torchvision_layout(tmp / "source", nested=True)
    make.zip_all(tmp / "data" / "archive.zip", tmp / "source")
    return tmp / "data"


def test_archives_are_unpacked_once_and_again_when_they_change(tmp_path, capsys):
    root = zipped(tmp_path)
    first = open_dataset(root, tmp_path / "work")
    assert "Unpacking" in capsys.readouterr().out
    again = open_dataset(root, tmp_path / "work")
    assert (again.root, capsys.readouterr().out) == (first.root, "")
    make.zip_all(root / "archive.zip", tmp_path / "source", prefix="x/")
    assert open_dataset(root, tmp_path / "work").root != first.root
    assert not [path for path in (tmp_path / "work").iterdir() if path.name.startswith(".")]


def evil_tar(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 0 if kind != tarfile.REGTYPE else 3
        archive.addfile(info, io.BytesIO(b"abc"))


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../out.jpg", tarfile.REGTYPE, ""),
        ("a/../../out.jpg", tarfile.REGTYPE, ""),
        ("/tmp/effnet-out.jpg", tarfile.REGTYPE, ""),
        ("..\\out.jpg", tarfile.REGTYPE, ""),
        ("a/link", tarfile.SYMTYPE, "/etc"),
        ("a/hard", tarfile.LNKTYPE, "../../x"),
        ("a/fifo", tarfile.FIFOTYPE, ""),
        ("a/null", tarfile.CHRTYPE, ""),
    ],
)
def test_a_hostile_tar_is_refused(name, kind, link, tmp_path):
    evil_tar(tmp_path / "evil.tgz", name, kind, link)
    why = "would be written to" if kind == tarfile.REGTYPE else "is a link or device"
    assert why in message(tmp_path / "evil.tgz", tmp_path / "deep" / "work")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "evil.tgz"]
    assert list((tmp_path / "deep" / "work").iterdir()) == []


def test_a_hostile_zip_is_refused(tmp_path):
    for number, name in enumerate(("../out.jpg", "/tmp/effnet-out.jpg", "C:\\out.jpg")):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"abc")
        assert "would be written to" in message(path, tmp_path / "work")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        info = zipfile.ZipInfo("a/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
    assert "link or device" in message(tmp_path / "link.zip", tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_size_and_count_limits(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as archive:
        for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 400_000
            archive.addfile(info, io.BytesIO(bytes(400_000)))
    monkeypatch.setattr(archives, "MAX_BYTES", 1_000_000)
    assert "unpacks to more than" in message(tmp_path / "bomb.tgz", tmp_path / "work")
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000_000)
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    assert "more than 2 files" in message(tmp_path / "bomb.tgz", tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_cut_archive_is_refused_wherever_it_is_cut(tmp_path):
    root = make.original_archives(tmp_path / "a", tmp_path / "source")
    whole = (root / "cars_train.tgz").read_bytes()
    plain = gzip.decompress(whole)
    # Between two members of the tar, where tarfile itself sees a regular end.
    with tarfile.open(root / "cars_train.tgz") as archive:
        between = archive.getmembers()[3].offset
    cuts = [whole[:-4], whole[: len(whole) // 2], gzip.compress(plain[:between])]
    for cut in cuts:
        (root / "cars_train.tgz").write_bytes(cut)
        assert "not a whole archive" in message(root, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_duplicates_and_encryption_in_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a/1.jpg", b"one")
        with pytest.warns(UserWarning):
            archive.writestr("a/1.jpg", b"two")
    assert "comes twice" in message(tmp_path / "twice.zip", tmp_path / "work")
    raw = bytearray((tmp_path / "twice.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(raw)
    assert "encrypted" in message(tmp_path / "secret.zip", tmp_path / "work")


def test_a_full_disk_is_one_message_and_nothing_is_left(tmp_path):
    root = zipped(tmp_path)
    make.write(tmp_path / "source" / "big.bin", os.urandom(500_000))
    make.zip_all(root / "archive.zip", tmp_path / "source")
    with small_disk(tmp_path / "disk", 0.25) as disk:
        said = message(root, disk / "work")
        assert f"{disk}/work/data-" in said and "No space left on device" in said
        assert "bytes" not in said.split("(")[0] and " are free" in said
        assert list((disk / "work").iterdir()) == []


UNPACK = """
import os, signal, sys, time
from effnet.datasets import archives
from effnet.datasets.layouts import open_dataset
from effnet.paths import ROOT
whole = archives._unpack_one
def stop(archive, folder, budget):
    whole(archive, folder, budget)
    if sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.02)
archives._unpack_one = stop
print(open_dataset(sys.argv[1], sys.argv[2]).root)
"""


def unpacking(root: Path, work: Path, how: str) -> subprocess.Popen:
    command = [sys.executable, "-c", UNPACK, str(root), str(work), how]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("changed", [False, True])
def test_what_a_killed_unpacking_left_is_removed_by_the_next(tmp_path, changed):
    root, work = zipped(tmp_path), tmp_path / "work"
    assert unpacking(root, work, "kill").wait() == -signal.SIGKILL
    (left,) = (path for path in work.iterdir() if path.is_dir())
    assert left.name.startswith(".writing-data-") and any(left.rglob("*.jpg"))
    if changed:  # another archive by now: its folder has another name
        make.zip_all(root / "archive.zip", tmp_path / "source", prefix="x/")
    (work / "of the user").mkdir()
    opened = open_dataset(root, work)
    assert len(opened.annotations) == 11
    assert sorted(work.iterdir()) == sorted([opened.root, work / "of the user"])


def test_two_at_once_unpack_once_and_the_second_says_for_whom_it_waits(tmp_path):
    root, work = zipped(tmp_path), tmp_path / "work"
    go = tmp_path / "go"
    first = unpacking(root, work, str(go))
    while not list(work.glob(".writing-*/**/*.jpg")):
        assert first.poll() is None
        time.sleep(0.02)
    second = unpacking(root, work, str(go))
    assert f"is written by process {first.pid} on " in second.stdout.readline()
    go.touch()
    assert "Unpacking" not in second.communicate(timeout=60)[0]
    assert "Unpacking" in first.communicate(timeout=60)[0]
    assert first.returncode == second.returncode == 0
    assert len(list(work.iterdir())) == 1
