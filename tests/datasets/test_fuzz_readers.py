"""Damaged files give the kit's own error: no traceback of a library, no hang, no wrong label.

What a reader cannot notice, and these tests therefore do not ask for: a changed byte inside an
*uncompressed* .mat variable, a CSV or a parquet page without checksums that turns one allowed
value into another. The dataset's own .mat files are compressed and carry checksums.
"""

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import layout_makers as make
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from effnet.datasets import archives, images, matfiles, stanford
from effnet.datasets.facts import look
from effnet.datasets.folders import read_csv
from effnet.datasets.layouts import open_dataset
from effnet.errors import EffnetError

FIELDS = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
fuzz = settings(
    max_examples=150,
    deadline=20_000,  # milliseconds: an example that takes longer counts as a hang
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damage(draw, size=1 << 16):
    """A function that cuts, flips bits of, or overwrites a part of some bytes."""
    kind = draw(st.sampled_from(["cut", "flip", "overwrite", "insert"]))
    where = [draw(st.integers(0, size)) for _ in range(draw(st.integers(1, 4)))]
    bit = draw(st.integers(0, 7))
    filler = draw(st.binary(min_size=1, max_size=24))

    def apply(content: bytes) -> bytes:
        changed = bytearray(content)
        if kind == "cut":
            return bytes(changed[: where[0] % len(changed)])
        for place in where:
            place %= len(changed)
            if kind == "flip":
                changed[place] ^= 1 << bit
            elif kind == "overwrite":
                changed[place : place + len(filler)] = filler[: len(changed) - place]
            else:
                changed[place:place] = filler
        return bytes(changed)

    return apply


def mat(tmp: Path, compress: bool) -> bytes:
    rows = [(*make.box(i), c + 1, f"{i:05d}.jpg") for i, (c, _) in enumerate(make.IMAGES)]
    make.save_mat(tmp / "good.mat", rows, FIELDS, compress)
    return (tmp / "good.mat").read_bytes()


@fuzz
@given(change=damage())
def test_a_damaged_compressed_mat_is_refused_or_unchanged(change, tmp_path):
    good = mat(tmp_path, compress=True)
    expected = matfiles.read_records(tmp_path / "good.mat", "annotations", tuple(FIELDS))
    (tmp_path / "bad.mat").write_bytes(change(good))
    try:
        found = matfiles.read_records(tmp_path / "bad.mat", "annotations", tuple(FIELDS))
    except EffnetError as error:
        assert "bad.mat" in str(error)
    else:  # header text, or bytes behind the checksum
        assert [c.tolist() for c in found] == [c.tolist() for c in expected]


@fuzz
@given(change=damage())
def test_a_damaged_plain_mat_never_leaves_the_allowed_values(change, tmp_path):
    good = mat(tmp_path, compress=False)
    file = tmp_path / "bad.mat"
    file.write_bytes(change(good))
    try:
        *boxes, ids, names = matfiles.read_records(file, "annotations", tuple(FIELDS))
        paths = stanford.check_paths(file, names)
        ids = stanford.class_ids(file, ids, make.NAMES, first=1)
        boxes = [stanford.numbers(file, "box", column) for column in boxes]
    except EffnetError:
        return
    assert len(set(paths)) == len(paths) == len(ids) == len(boxes[0])
    assert ids.min() >= 0 and ids.max() < len(make.NAMES)


@fuzz
@given(content=st.binary(max_size=400))
def test_noise_is_no_mat(content, tmp_path):
    header = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    for start in (b"", header):
        (tmp_path / "noise.mat").write_bytes(start + content)
        try:
            assert isinstance(matfiles.read_mat(tmp_path / "noise.mat"), dict)
        except EffnetError:
            pass


def test_a_size_that_is_not_the_content_s_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"x": np.arange(6.0).reshape(2, 3), "t": "four"})
    good = (tmp_path / "x.mat").read_bytes()
    assert len(matfiles.read_mat(tmp_path / "x.mat")["x"]) == 6
    for old, new in (((2, 3), (2, 2)), ((2, 3), (7, 3)), ((2, 3), (2, -3)), ((1, 4), (1, 3))):
        assert good.count(struct.pack("<ii", *old)) == 1
        changed = good.replace(struct.pack("<ii", *old), struct.pack("<ii", *new))
        (tmp_path / "bad.mat").write_bytes(changed)
        with pytest.raises(EffnetError, match="size"):
            matfiles.read_mat(tmp_path / "bad.mat")
    # A compressed variable with bytes behind its end, checksum and all.
    size = struct.unpack_from("<I", good, 132)[0]
    packed = zlib.compress(good[128 : 136 + size] + bytes(8))
    content = good[:128] + struct.pack("<II", 15, len(packed)) + packed
    (tmp_path / "bad.mat").write_bytes(content)
    with pytest.raises(EffnetError, match="wrong length"):
        matfiles.read_mat(tmp_path / "bad.mat")


def test_a_flipped_bit_ends_scipy_s_process_and_is_refused_here(tmp_path):
    """Why `matfiles` reads these files itself. Which bit it is depends on scipy's version."""
    path = tmp_path / "a.mat"
    make.save_mat(path, [(i, f"{i:05d}.jpg") for i in range(3)], ["class", "fname"], compress=False)
    good = path.read_bytes()
    code = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1])"
    for position in range(240, len(good), 4):
        path.write_bytes(good[:position] + bytes([good[position] ^ 8]) + good[position + 1 :])
        command = [sys.executable, "-c", code, str(path)]
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode < 0:
            break
    else:
        pytest.fail("scipy survived every flipped bit: does the kit still need its own reader?")
    with pytest.raises(EffnetError, match="not a readable MATLAB file"):
        matfiles.read_mat(path)


def test_a_decompression_bomb_and_deep_nesting_are_refused(tmp_path, monkeypatch):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros(500_000)}, do_compression=True)
    monkeypatch.setattr(matfiles, "MAX_BYTES", 1_000_000)
    with pytest.raises(EffnetError, match="unpacks to more than"):
        matfiles.read_mat(tmp_path / "a.mat")
    nested = np.array([1.0])
    for _ in range(20):
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = nested
        nested = cell
    scipy.io.savemat(tmp_path / "b.mat", {"x": nested})
    with pytest.raises(EffnetError, match="nested too deeply"):
        matfiles.read_mat(tmp_path / "b.mat")


@fuzz
@given(change=damage())
def test_a_damaged_csv_is_refused_or_well_formed(change, tmp_path):
    root = tmp_path / "good"
    if not root.exists():
        make.csv_layout(root)
    (root / "bad.csv").write_bytes(change((root / "list.csv").read_bytes()))
    try:
        table, names = read_csv(root / "bad.csv")
    except EffnetError as error:
        assert "bad.csv" in str(error)
        return
    assert table["path"].is_unique
    assert set(table["split"]) == {"train", "test"}
    assert table["class_id"].between(0, len(names) - 1).all()
    assert all(".." not in path and not path.startswith("/") for path in table["path"])
    # A cut file may end between two rows, a name may be another one; columns do not get lost.
    assert table[["x1", "y1", "x2", "y2"]].notna().all(axis=None)
    assert table["path"].isin([f"pictures/{i}.jpg" for i in range(11)]).sum() >= len(table) - 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@fuzz
@given(change=damage())
def test_a_damaged_image_is_reported_by_the_check_as_by_the_training(kind, change, tmp_path):
    with Image.open(io.BytesIO(make.picture(3))) as image:
        image.save(tmp_path / "good", kind)
    (tmp_path / "bad").write_bytes(change((tmp_path / "good").read_bytes()))
    facts, thumbs = look(tmp_path, ["bad"], workers=1, progress=False)
    try:
        decoded = images.decode(tmp_path / "bad")
    except images.UnreadableImage:
        assert facts["error"][0]
    else:
        assert facts["error"][0] == ""
        assert (facts["width"][0], facts["height"][0]) == decoded.size
        assert thumbs.shape == (1, 32, 32)


def contents(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): zlib.crc32(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A tgz and a zip of class folders, as bytes, and what they hold."""
    root = tmp_path_factory.mktemp("packed")
    source = make.class_folders(root / "source")
    make.tar(root / "a.tgz", source, "train", "test")
    make.zip_all(root / "a.zip", source)
    return {name: (root / name).read_bytes() for name in ("a.tgz", "a.zip")}, contents(source)


@pytest.mark.parametrize("name", ["a.tgz", "a.zip", "a.tar"])
@fuzz
@given(change=damage())
def test_a_damaged_archive_is_refused_or_whole(name, change, packed, tmp_path):
    good, expected = packed
    plain = name == "a.tar"
    content = gzip.decompress(good["a.tgz"]) if plain else good[name]
    (tmp_path / name).write_bytes(change(content))
    target = tmp_path / "target"
    try:
        archives.unpack([tmp_path / name], target)
    except EffnetError as error:
        assert name in str(error) or "target" in str(error)
        assert not target.exists()
    else:
        found = contents(target)
        archives.shutil.rmtree(target)
        if plain:  # tar has checksums for its headers only
            assert len(found) <= len(expected)
        else:  # a member's name in a zip has no checksum, its content has
            assert sorted(found.values()) == sorted(expected.values())
            assert found == expected or name == "a.zip"
    assert {path.name for path in tmp_path.iterdir()} <= {"a.tgz", "a.zip", "a.tar"}


def test_the_fuzzed_archives_are_readable_when_whole(packed, tmp_path):
    good, expected = packed
    for name, content in good.items():
        (tmp_path / name).write_bytes(content)
        assert contents(archives.unpack([tmp_path / name], tmp_path / f"{name}-out")) == expected
    assert tarfile.is_tarfile(tmp_path / "a.tgz") and zipfile.is_zipfile(tmp_path / "a.zip")


@settings(fuzz, max_examples=60)
@given(change=damage())
def test_a_damaged_parquet_shard_is_refused_or_well_formed(change, tmp_path):
    pytest.importorskip("pyarrow")
    root = tmp_path / "data"
    if not root.exists():
        make.parquet_layout(root)
    shard = next((root / "data").glob("test-*.parquet"))
    good = shard.read_bytes()
    work = tmp_path / "work"
    try:
        shard.write_bytes(change(good))
        table = open_dataset(root, work).annotations
        assert table["class_id"].between(0, len(make.NAMES) - 1).all()
        assert (table["split"] == "train").sum() == 8
    except EffnetError:
        assert not work.exists() or not list(work.iterdir())
    finally:
        shard.write_bytes(good)
        archives.shutil.rmtree(work, ignore_errors=True)
