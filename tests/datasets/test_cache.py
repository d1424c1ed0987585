"""The pixel cache against torchvision's own transforms, and against everything that goes wrong."""

import os
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import folder, picture, reference
from PIL import Image

from effnet import files
from effnet.datasets import building, images
from effnet.datasets import fingerprint as hashes
from effnet.datasets.cache import cache_size, clean_cache, fingerprint, pixels
from effnet.datasets.images import UnreadableImage, crop_to_box, decode
from effnet.errors import EffnetError


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, pd.DataFrame, Path]:
    return tmp_path / "data", folder(tmp_path / "data"), tmp_path / "cache"


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("size", [1, 24, 96])
def test_pixels_equal_torchvisions(data, size, channels):
    root, table, where = data
    result = pixels(root, table, size, channels, cache_dir=where)
    assert result.array.shape == (5, size, size, channels) and result.array.dtype == np.uint8
    assert not result.array.flags.writeable
    assert result.rows.tolist() == [0, 1, 2, 3, 4] and result.skipped == []
    for row, path in enumerate(table["path"]):
        np.testing.assert_array_equal(result.array[row], reference(root / path, size, channels))


def test_gray_is_taken_before_the_resize(data):
    root, table, where = data
    gray = pixels(root, table, 16, 1, cache_dir=where).array
    with Image.open(root / table["path"][0]) as image:
        after = np.asarray(
            image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR).convert("L")
        )
    assert np.any(gray[0, ..., 0] != after)


def test_odd_images_become_what_pil_converts_them_to(tmp_path):
    color = picture(60, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees: ignored, as by PIL's convert
    ramp = np.linspace(0, 65535, 60 * 40).reshape(40, 60).astype(np.uint16)
    odd = {
        "gray.jpg": (color.convert("L"), {}),
        "cmyk.jpg": (color.convert("CMYK"), {}),
        "palette.png": (color.quantize(16), {}),
        "transparent.gif": (color.quantize(16), {"transparency": 3}),
        "alpha.png": (color.convert("RGBA"), {}),
        "gray_alpha.png": (color.convert("LA"), {}),
        "bilevel.png": (color.convert("1"), {}),
        "deep.png": (Image.fromarray(ramp), {}),
        "deep.tif": (Image.fromarray(ramp), {}),
        "rotated.jpg": (color, {"exif": exif}),
        "narrow.png": (picture(1, 50), {}),
        "pixel.png": (picture(1, 1), {}),
        "wide.jpg": (picture(10_000, 3), {}),
        "tall.png": (picture(2, 10_000), {}),
    }
    for name, (image, options) in odd.items():
        image.save(tmp_path / name, **options)
    table = pd.DataFrame({"path": list(odd)})
    result = pixels(tmp_path, table, 20, cache_dir=tmp_path / "cache")
    for row, name in enumerate(odd):
        with Image.open(tmp_path / name) as image:
            expected = image.convert("RGB").resize((20, 20), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(result.array[row], np.asarray(expected), err_msg=name)


def test_crop_counts_from_one_and_includes_the_last_pixel():
    image = picture(30, 20)
    whole = crop_to_box(image, (1, 1, 30, 20))
    assert whole.size == (30, 20)
    one = crop_to_box(image, (3, 5, 3, 5))
    assert one.size == (1, 1) and one.getpixel((0, 0)) == image.getpixel((2, 4))
    assert crop_to_box(image, (11, 11, 20, 20), margin=0.2).size == (14, 12)  # clipped below
    assert crop_to_box(image, (11, 6, 20, 10), margin=9).size == (30, 20)
    with pytest.raises(UnreadableImage, match="no area"):
        crop_to_box(image, (9, 3, 5, 9))
    with pytest.raises(UnreadableImage, match="outside the image"):
        crop_to_box(image, (40, 3, 50, 9))


def test_cropped_cache_is_another_one(data):
    root, table, where = data
    plain = pixels(root, table, 16, cache_dir=where)
    cropped = pixels(root, table, 16, crop="box", cache_dir=where)
    wider = pixels(root, table, 16, crop="box", margin=0.1, cache_dir=where)
    assert len({plain.path, cropped.path, wider.path}) == 3
    # Boxes and margins do not matter where they are not used.
    moved = table.assign(x1=9.0)
    assert pixels(root, moved, 16, margin=0.1, cache_dir=where).path == plain.path
    assert pixels(root, moved, 16, crop="box", cache_dir=where).path != cropped.path
    with Image.open(root / table["path"][1]) as image:
        x1, y1, x2, y2 = table.loc[1, ["x1", "y1", "x2", "y2"]].astype(int)
        expected = image.crop((x1 - 1, y1 - 1, x2, y2)).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(cropped.array[1], np.asarray(expected))
    table.loc[3, "y2"] = np.nan
    with pytest.raises(EffnetError, match=r"1 of 5 images have no box .*3\.jpg.*crop=\"none\""):
        pixels(root, table, 16, crop="box", cache_dir=where)


@pytest.fixture
def damaged(data, monkeypatch):
    """Every kind of bad file among good ones, with what the message must say of it."""
    root, table, where = data
    table = folder(root, 12)
    file = [root / path for path in table["path"]]
    whole = file[1].read_bytes()
    file[1].write_bytes(whole[: len(whole) // 2])
    file[2].write_bytes(b"")
    file[3].write_bytes(b"<html>404</html>" * 50)
    file[4].unlink()
    file[5].unlink()
    file[5].mkdir()
    width, height = 30_000, 30_000  # a decompression bomb: a tiny file, a gigapixel
    row = zlib.compress(bytes(1000))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + check

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")
    file[7].write_bytes(bomb)
    reasons = {
        1: "truncated",
        2: "empty",
        3: "not an image",
        4: "no such file",
        5: "not a regular file but a folder",
        7: "Bomb",
    }
    return root, table, where, reasons


def test_every_unreadable_file_is_listed_at_once(damaged):
    root, table, where, reasons = damaged
    with pytest.raises(EffnetError) as caught:
        pixels(root, table, 16, cache_dir=where)
    message = str(caught.value)
    assert message.startswith(f"6 of 12 images in {root} are unreadable")
    assert 'on_bad_image="skip"' in message
    lines = [line for line in message.splitlines() if line.startswith("  ")]
    assert len(lines) == 6
    for line, (row, reason) in zip(lines, reasons.items(), strict=True):
        assert line.startswith(f"  {table['path'][row]}: ") and reason in line


@pytest.mark.parametrize("workers", [1, 2])
def test_unreadable_files_are_skipped_on_request(damaged, workers, monkeypatch):
    root, table, where, reasons = damaged
    monkeypatch.setattr(building, "CHUNK_BYTES", 3 * 16 * 16 * 3)  # several chunks
    result = pixels(root, table, 16, cache_dir=where, on_bad_image="skip", workers=workers)
    good = [row for row in range(12) if row not in reasons]
    assert result.rows.tolist() == good
    assert [path for path, _ in result.skipped] == [table["path"][row] for row in reasons]
    for row in good:
        np.testing.assert_array_equal(
            result.array[row], reference(root / table["path"][row], 16, 3)
        )
    assert not result.array[list(reasons)].any()
    with pytest.raises(EffnetError, match="6 of 12"):  # a whole cache, but not for "stop"
        pixels(root, table, 16, cache_dir=where)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_and_cut_bytes_give_pixels_or_one_error(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "fuzz"
    root.mkdir(exist_ok=True)
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"]))
    path = root / f"a.{kind.lower()}"
    picture(20, 15).save(path, kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert decode(path).mode == "RGB"
    except UnreadableImage as error:
        assert str(error)


def test_used_again_until_a_file_or_the_resize_changes(data, monkeypatch):
    root, table, where = data
    first = pixels(root, table, 16, cache_dir=where)
    made = os.stat(first.path).st_mtime_ns
    monkeypatch.setattr(images, "load_chunk", lambda job: pytest.fail("decoded again"))
    assert pixels(root, table, 16, cache_dir=where).path == first.path
    assert os.stat(first.path).st_mtime_ns == made
    monkeypatch.undo()
    assert pixels(root, table, 17, cache_dir=where).path != first.path

    file = root / table["path"][2]
    stamp = os.stat(file)
    content = bytearray(file.read_bytes())
    picture(54, 52, seed=99).save(file)
    changed = pixels(root, table, 16, cache_dir=where)
    np.testing.assert_array_equal(changed.array[2], reference(file, 16, 3))
    assert np.any(changed.array[2] != first.array[2])

    file.write_bytes(content)  # as it was: the first cache serves again, whatever the time stamp
    os.utime(file, ns=(stamp.st_atime_ns + 10**9, stamp.st_mtime_ns + 10**9))
    assert pixels(root, table, 16, cache_dir=where).path == first.path


def test_a_cut_cache_is_made_again(data):
    root, table, where = data
    first = pixels(root, table, 16, cache_dir=where)
    expected = np.array(first.array)
    os.truncate(first.path, 1000)
    np.testing.assert_array_equal(pixels(root, table, 16, cache_dir=where).array, expected)


def test_fingerprint_sees_rows_and_bytes(data):
    root, table, where = data
    value = fingerprint(root, table, where)
    assert len(value) == 64 and fingerprint(root, table, where) == value
    assert fingerprint(root, table.iloc[::-1], where) != value
    assert fingerprint(root, table.assign(class_id=0), where) != value
    assert fingerprint(root, table.assign(x1=2.0), where) != value
    file = root / table["path"][0]
    content, stat = bytearray(file.read_bytes()), os.stat(file)
    content[-1] ^= 1  # same size, same path, new time stamp
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    changed = fingerprint(root, table, where)
    assert changed != value
    file.unlink()
    assert fingerprint(root, table, where) not in (value, changed)
    with pytest.raises(EffnetError, match="no folder"):
        fingerprint(root / "nowhere", table, where)


def test_hashes_are_remembered_for_settled_files_only(data, monkeypatch):
    root, table, where = data
    value = fingerprint(root, table, where)
    assert not list(where.glob("hashes-*"))  # written just now: they may change within a tick
    monkeypatch.setattr(hashes, "_SETTLED", -1.0)
    assert fingerprint(root, table, where) == value
    (memo,) = where.glob("hashes-*.json")
    monkeypatch.setattr(hashes, "_hash", lambda file: pytest.fail("hashed again"))
    assert fingerprint(root, table, where) == value
    monkeypatch.undo()
    memo.write_text("{ not json")
    assert fingerprint(root, table, where) == value


def test_refused_before_it_starts_when_the_disk_is_full(data, monkeypatch):
    root, table, where = data
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: usage(1, 1, 70_000_000))
    with pytest.raises(EffnetError, match=r"5,168,535 bytes and 67,108,864 to spare, 70,000,000"):
        pixels(root, table, 587, cache_dir=where)
    assert not list(where.glob("*.partial"))
    pixels(root, table, 16, cache_dir=where)  # a small one fits


def test_clean_cache_frees_what_it_says(data):
    root, table, where = data
    assert clean_cache(where) == 0 and cache_size(where) == 0
    for path in table["path"]:
        os.utime(root / path, ns=(0, 10**18))
    made = pixels(root, table, 32, cache_dir=where)
    keep = where / "something-else.npy"
    keep.write_bytes(b"not ours")
    on_disk = sum(os.stat(f).st_blocks * 512 for f in where.iterdir() if f != keep)
    size = cache_size(where)
    assert made.array.nbytes < size <= on_disk
    with FileLock(made.path.with_suffix(".lock")):  # as if a run were building it
        clean_cache(where)
        assert made.path.exists()
    assert clean_cache(where) > made.array.nbytes
    assert cache_size(where) == 0 and keep.exists() and not made.path.exists()
    assert not list(where.glob("pixels-*.npy"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 4}, "in_channels is 4; allowed are 1 and 3"),
        ({"crop": "center"}, "crop is 'center'; allowed are 'none' and 'box'"),
        ({"on_bad_image": "ignore"}, "on_bad_image is 'ignore'"),
        ({"image_size": 0}, "image_size is 0"),
        ({"crop": "box", "margin": -0.1}, "margin is -0.1"),
        ({"crop": "box", "margin": float("nan")}, "margin is nan"),
    ],
)
def test_bad_arguments_are_refused(data, arguments, message):
    root, table, where = data
    with pytest.raises(EffnetError, match=message):
        pixels(root, table, **({"image_size": 16, "cache_dir": where} | arguments))
    with pytest.raises(EffnetError, match="no image"):
        pixels(root, table.iloc[:0], 16, cache_dir=where)


@pytest.mark.skipif(not os.environ.get("STANFORD_CARS"), reason="STANFORD_CARS is not set")
def test_real_images_equal_torchvisions(tmp_path):
    root = Path(os.environ["STANFORD_CARS"])
    files = sorted(root.rglob("*.jpg"))[::600]
    assert len(files) > 5
    table = pd.DataFrame({"path": [file.relative_to(root).as_posix() for file in files]})
    for size, channels in ((224, 3), (64, 1)):
        result = pixels(root, table, size, channels, cache_dir=tmp_path)
        for row, file in enumerate(files):
            np.testing.assert_array_equal(result.array[row], reference(file, size, channels))
