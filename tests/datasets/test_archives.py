"""Archives are unpacked whole, once, and never outside their folder."""

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import layout_makers as make
import pytest
from layout_makers import message

from effnet.datasets import archives
from effnet.datasets.layouts import open_dataset


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


def test_a_full_disk_is_one_message_and_nothing_is_left(tmp_path, monkeypatch):
    root = zipped(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_unpack_one", full)
    assert "No space left on device" in message(root, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
