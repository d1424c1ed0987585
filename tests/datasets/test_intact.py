"""Caches that are no longer what was written: every file of them, every damage, and full disks."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import folder, picture, reference
from places import as_nobody, fill, open_folder, small_disk

from effnet.datasets import building, fingerprint, images, intact
from effnet.datasets.cache import clean_cache, pixels
from effnet.datasets.fingerprint import file_hashes
from effnet.errors import EffnetError
from effnet.paths import ROOT


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files count as settled at once, and nothing is remembered from another test."""
    monkeypatch.setattr(fingerprint, "_SETTLED", -1.0)
    monkeypatch.setattr(fingerprint, "_learnt", {})
    monkeypatch.setattr(intact, "_seen", set())


def another_process(monkeypatch) -> None:
    """Forget what this process has looked at."""
    monkeypatch.setattr(fingerprint, "_learnt", {})
    monkeypatch.setattr(intact, "_seen", set())
    fingerprint._parsed.cache_clear()


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: 2 * len(content) // 3])
    else:
        content[len(content) // 2 if how == "flipped" else int(how)] ^= 1
        with open(file, "r+b") as opened:  # in place, as a failing disk does it
            opened.write(content)


DAMAGES = ("missing", "empty", "cut", "flipped")


@pytest.mark.parametrize("how", (*DAMAGES, "3"))  # byte 3 stands in the array's header
@pytest.mark.parametrize("kind", ["pixels-*.npy", "pixels-*.json", "pixels-*.checked", "hashes-*"])
def test_every_file_of_a_cache_in_every_damage(tmp_path, monkeypatch, capsys, kind, how):
    root, table = tmp_path / "data", folder(tmp_path / "data", 8)
    monkeypatch.setattr(building, "CHUNK_BYTES", 3 * 16 * 16 * 3)
    first = pixels(root, table, 16, cache_dir=tmp_path / "cache")
    expected = np.array(first.array)
    pixels(root, table, 16, cache_dir=tmp_path / "cache")
    capsys.readouterr()
    (file,) = (f for f in (tmp_path / "cache").glob(kind) if f.suffix != ".lock")
    damage(file, how)
    another_process(monkeypatch)
    again = pixels(root, table, 16, cache_dir=tmp_path / "cache")
    assert again.path == first.path
    np.testing.assert_array_equal(again.array, expected)
    lines = capsys.readouterr().out.splitlines()
    if kind in ("pixels-*.npy", "pixels-*.json"):
        (line,) = lines
        assert str(file) in line and line.endswith("It is made again.")
        word = {"missing": "is missing", "empty": "is empty"}
        assert word.get(how, "") in line
    else:
        assert lines == []  # only time was lost
    another_process(monkeypatch)
    monkeypatch.setattr(images, "load_chunk", lambda job: pytest.fail("decoded again"))
    np.testing.assert_array_equal(
        pixels(root, table, 16, cache_dir=tmp_path / "cache").array, expected
    )


def test_every_bit_of_the_small_files_matters_or_changes_nothing(tmp_path, monkeypatch):
    """A changed list of bad rows would change the data without a word."""
    root, table = tmp_path / "data", folder(tmp_path / "data", 4)
    (root / table["path"][2]).write_bytes(b"no image")
    first = pixels(root, table, 2, cache_dir=tmp_path / "cache", on_bad_image="skip")
    listed = first.path.with_suffix(".json")
    content = listed.read_bytes()
    for position in range(0, len(content), 5):
        damage(listed, str(position))
        another_process(monkeypatch)
        again = pixels(root, table, 2, cache_dir=tmp_path / "cache", on_bad_image="skip")
        assert again.rows.tolist() == [0, 1, 3] and again.skipped == first.skipped
        listed.write_bytes(content)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["*.partial", "*.chunks/3-6.json"])
def test_what_a_killed_build_left_is_looked_at_before_it_is_used(
    tmp_path, monkeypatch, capsys, kind, how
):
    root, table = tmp_path / "data", folder(tmp_path / "data", 12)
    (root / table["path"][4]).write_bytes(b"no image")
    monkeypatch.setattr(building, "CHUNK_BYTES", 3 * 16 * 16 * 3)
    load_chunk, decoded = images.load_chunk, []

    def stops(job):
        if job["first_row"] == 9:
            raise KeyboardInterrupt
        return load_chunk(job)

    monkeypatch.setattr(images, "load_chunk", stops)
    with pytest.raises(KeyboardInterrupt):
        pixels(root, table, 16, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(
        images, "load_chunk", lambda job: decoded.append(job["first_row"]) or load_chunk(job)
    )
    (file,) = (tmp_path / "cache").glob(kind)
    damage(file, how)
    capsys.readouterr()
    result = pixels(root, table, 16, cache_dir=tmp_path / "cache", on_bad_image="skip")
    assert [path for path, _ in result.skipped] == [table["path"][4]]
    for row in result.rows:
        np.testing.assert_array_equal(
            result.array[row], reference(root / table["path"][row], 16, 3)
        )
    said = capsys.readouterr().out
    if kind == "*.partial":
        assert decoded == ([3, 9] if how == "flipped" else [0, 3, 6, 9])
        assert (str(file) in said) == (how == "flipped")
    else:
        assert decoded == [3, 9]
        assert (str(file) in said) == (how != "missing")


def test_a_cache_is_looked_at_once_until_it_changes(tmp_path, monkeypatch):
    root, table, where = tmp_path / "data", folder(tmp_path / "data"), tmp_path / "cache"
    first = pixels(root, table, 16, cache_dir=where)
    looked = []
    changed_parts = intact.changed_parts
    monkeypatch.setattr(
        intact, "changed_parts", lambda *a: looked.append(a[0]) or changed_parts(*a)
    )
    for _ in range(3):
        another_process(monkeypatch)
        pixels(root, table, 16, cache_dir=where)
    assert looked == [first.path]
    # Another file of the same size and age in its place.
    stat, content = os.stat(first.path), bytearray(first.path.read_bytes())
    content[-1] ^= 1
    (where / "swapped").write_bytes(content)
    os.utime(where / "swapped", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(where / "swapped", first.path)
    another_process(monkeypatch)
    again = pixels(root, table, 16, cache_dir=where)
    assert looked == [first.path, first.path, first.path]  # before and under the lock
    np.testing.assert_array_equal(again.array[4], reference(root / table["path"][4], 16, 3))


def test_a_swapped_file_of_equal_size_and_time_is_noticed(tmp_path, monkeypatch):
    root, table, where = tmp_path / "data", folder(tmp_path / "data", suffix="bmp"), tmp_path / "c"
    paths = table["path"].tolist()
    before = file_hashes(root, paths, where)
    assert len(list(where.glob("hashes-*.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_hash", lambda file: pytest.fail("hashed again"))
        another_process(monkeypatch)
        assert file_hashes(root, paths, where) == before
    file = root / paths[0]
    stat = os.stat(file)
    picture(40, 30, seed=77).save(tmp_path / "other.bmp")
    assert os.stat(tmp_path / "other.bmp").st_size == stat.st_size
    os.utime(tmp_path / "other.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(tmp_path / "other.bmp", file)
    assert os.stat(file).st_mtime_ns == stat.st_mtime_ns
    swapped = file_hashes(root, paths, where)
    assert swapped[0] != before[0] and swapped[1:] == before[1:]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    with open(file, "r+b") as opened:  # the same inode, and its old age
        opened.write(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_hashes(root, paths, where)[0] not in (before[0], swapped[0])


def test_a_changed_hash_in_the_memo_is_not_believed(tmp_path, monkeypatch):
    root, table, where = tmp_path / "data", folder(tmp_path / "data"), tmp_path / "cache"
    paths = table["path"].tolist()
    before = file_hashes(root, paths, where)
    (memo,) = where.glob("hashes-*.json")
    text = memo.read_text()
    at = text.index(before[2]) + 10
    memo.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    another_process(monkeypatch)
    assert file_hashes(root, paths, where) == before


def test_pipes_sockets_and_folders_are_never_waited_for(tmp_path):
    root, table = tmp_path / "data", folder(tmp_path / "data", 6)
    for row, kind in ((1, "pipe"), (2, "folder"), (3, "link"), (4, "device")):
        file = root / table["path"][row]
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        else:
            file.symlink_to("/dev/zero" if kind == "device" else "nowhere.jpg")
    result = pixels(root, table, 16, cache_dir=tmp_path / "cache", on_bad_image="skip")
    assert result.rows.tolist() == [0, 5]
    reasons = dict(result.skipped)
    assert reasons[table["path"][1]] == "not a regular file but a pipe"
    assert reasons[table["path"][2]] == "not a regular file but a folder"
    assert reasons[table["path"][3]] == "a link to what is not there"
    assert reasons[table["path"][4]] == "not a regular file but a device"
    hashes = file_hashes(root, table["path"].tolist(), tmp_path / "cache")
    assert [len(value) == 64 for value in hashes] == [True, False, False, False, False, True]


def opened(root: Path, where: Path) -> None:
    """Print the sum of a cache's pixels; an error as a command says it."""
    intact._seen.clear()  # what the caller's process has looked at
    try:
        table = pd.read_csv(root / "table.csv")
        print(pixels(root, table, 16, cache_dir=where).array.sum())
    except EffnetError as error:
        sys.exit(str(error))


def test_another_users_whole_cache_is_read_and_nothing_written():
    with open_folder() as place:
        table = folder(place / "data", 8)
        table.to_csv(place / "data" / "table.csv", index=False)
        where = place / "cache"
        made = pixels(place / "data", table, 16, cache_dir=where)
        total = made.array.sum()
        arguments = (opened, place / "data", where)
        before = {file: file.read_bytes() for file in where.iterdir()}
        done = as_nobody(*arguments)
        assert (done.returncode, done.stdout.strip()) == (0, str(total)), done.stderr
        for file in where.glob("hashes-*"):  # a memo that may not even be read
            file.chmod(0o000)
        assert as_nobody(*arguments).stdout.strip() == str(total)
        assert {file: file.read_bytes() for file in where.iterdir()} == before

        damage(made.path, "flipped")
        done = as_nobody(*arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert f"{made.path} was changed after it was written" in done.stderr
        assert "cannot be made again" in done.stderr and "another user" in done.stderr
        shutil.rmtree(where)
        done = as_nobody(*arguments)
        assert done.returncode == 1 and "cannot be written (Permission denied)" in done.stderr


def test_a_disk_that_fills_while_a_cache_is_built(tmp_path, monkeypatch):
    root, table = tmp_path / "data", folder(tmp_path / "data", 40)
    monkeypatch.setattr(building, "SPARE_BYTES", 0)
    monkeypatch.setattr(building, "CHUNK_BYTES", 2 * 128 * 128 * 3)
    with small_disk(tmp_path / "disk", 4) as disk:
        load_chunk = images.load_chunk
        decoded = []

        def fills(job):
            if job["first_row"] == 10:
                fill(disk, left=100_000)
            decoded.append(job["first_row"])
            return load_chunk(job)

        monkeypatch.setattr(images, "load_chunk", fills)
        with pytest.raises(EffnetError) as caught:
            pixels(root, table, 128, cache_dir=disk / "cache", workers=1)
        message = str(caught.value)
        (partial,) = (disk / "cache").glob("*.partial")
        assert str(partial) in message and "No space left" in message
        done = decoded.index(10) + 1
        assert f"it needs {(40 - 2 * (done - 1)) * 128 * 128 * 3:,} bytes more" in message
        assert " are free" in message and "goes on" in message
        (disk / "filler").unlink()
        decoded.clear()
        monkeypatch.setattr(
            images, "load_chunk", lambda job: decoded.append(job["first_row"]) or load_chunk(job)
        )
        made = pixels(root, table, 128, cache_dir=disk / "cache", workers=1)
        assert decoded == list(range(10, 40, 2))
        for row in (0, 9, 10, 39):
            expected = reference(root / table["path"][row], 128, 3)
            np.testing.assert_array_equal(made.array[row], expected)


def test_a_full_disk_before_it_starts_and_for_the_small_files(tmp_path):
    root, table = tmp_path / "data", folder(tmp_path / "data", 8)
    with small_disk(tmp_path / "disk", 80) as disk:
        where = disk / "cache"
        made = pixels(root, table, 16, cache_dir=where)
        total = made.array.sum()
        fill(disk, left=0)
        for file in (*where.glob("*.checked"), *where.glob("hashes-*.json")):
            file.unlink()
        fill(disk, left=0)
        assert pixels(root, table, 16, cache_dir=where).array.sum() == total
        with pytest.raises(
            EffnetError, match=r"needs 5,408 bytes and 67,108,864 to spare, 0 are free"
        ):
            pixels(root, table, 26, 1, cache_dir=where).array.sum()


KILLED = """
import os, signal, sys
import pandas as pd
from effnet import files
from effnet.datasets import fingerprint, intact
from effnet.datasets.cache import pixels
fingerprint._SETTLED = -1.0
def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
files.os.fsync = kill
pixels(sys.argv[1], pd.read_csv(sys.argv[1] + "/table.csv"), 16, cache_dir=sys.argv[2], workers=1)
"""


def test_what_a_killed_write_left_is_swept(tmp_path):
    table, where = folder(tmp_path / "data"), tmp_path / "cache"
    table.to_csv(tmp_path / "data" / "table.csv", index=False)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(where)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert [file.name[:16] for file in where.glob(".writing-*")] == [".writing-hashes-"]
    file_hashes(tmp_path / "data", table["path"].tolist(), where)
    assert not list(where.glob(".writing-*"))
    (where / ".writing-pixels-x.json").write_text("left")
    (where / "pixels-x.lock").touch()
    clean_cache(where)
    assert not list(where.glob(".writing-*")) and not list(where.glob("hashes-*.json"))


def test_caches_of_earlier_versions_are_made_again(tmp_path, capsys):
    root, table, where = tmp_path / "data", folder(tmp_path / "data"), tmp_path / "cache"
    first = pixels(root, table, 16, cache_dir=where)
    expected = np.array(first.array)
    first.path.with_suffix(".json").write_text(json.dumps({"bad": [], "shape": [5, 16, 16, 3]}))
    np.testing.assert_array_equal(pixels(root, table, 16, cache_dir=where).array, expected)
    assert "is of an earlier version" in capsys.readouterr().out
