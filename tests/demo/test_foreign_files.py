"""The demo's folder: only what the kit drew is ever replaced, whatever else happens to it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import as_nobody, open_folder, small_disk

from effnet.datasets.layouts import open_dataset
from effnet.demo import folder
from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.paths import ROOT


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("data") / "demo", size="smoke")


@pytest.fixture
def root(smoke, tmp_path):
    return Path(shutil.copytree(smoke, tmp_path / "demo"))


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def mine(root: Path) -> dict[str, bytes]:
    """Put a user's own files among the drawn ones."""
    files = {"notes.txt": b"mine", "cars_train/holiday.jpg": b"my car", "own/x.csv": b"path,label"}
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return files


def test_an_extra_file_is_neither_a_reason_to_draw_nor_part_of_the_data(root, monkeypatch):
    before, files = contents(root), mine(root)
    monkeypatch.setattr(folder, "_draw_all", lambda *_: pytest.fail("drew again"))
    make_demo(root, size="smoke")
    assert contents(root) == before | files
    assert not open_dataset(root).annotations["path"].str.contains("holiday").any()


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "manifest", "no version"])
def test_a_drawing_again_replaces_the_drawn_files_alone(root, damage):
    before, files = contents(root), mine(root)
    image, manifest = root / "cars_train/00002.jpg", root / "demo.json"
    if damage == "flipped":
        content = bytearray(before["cars_train/00002.jpg"])
        content[len(content) // 2] ^= 1
        image.write_bytes(content)
    elif damage == "cut":
        image.write_bytes(before["cars_train/00002.jpg"][:100])
    elif damage == "missing":
        image.unlink()
    elif damage == "manifest":
        manifest.write_bytes(before["demo.json"][:200])
    else:  # as earlier versions of the kit wrote it: sizes, and no seal
        old = json.loads(before["demo.json"])
        sizes = {name: len(before[name]) for name in old["files"]}
        manifest.write_text(json.dumps({"version": "old", "files": sizes}))
        image.write_bytes(b"as the old version drew it")
    make_demo(root, size="smoke")
    assert contents(root) == before | files


def test_another_drawing_removes_what_it_does_not_have(root, monkeypatch):
    files, old = mine(root), contents(root)
    monkeypatch.setitem(folder.DEMO_SIZES, "tiny", (3, 4, 2, (40, 50)))
    make_demo(root, size="tiny")
    now = contents(root)
    assert {name: now[name] for name in files} == files
    drawn = set(json.loads(now["demo.json"])["files"]) | {"demo.json"}
    assert set(now) == drawn | set(files) and len(drawn) < len(old) - len(files)
    assert len(open_dataset(root).annotations) == sum(name.endswith(".jpg") for name in drawn)
    fresh = make_demo(root.parent / "fresh", size="tiny")
    assert contents(fresh) == {name: now[name] for name in drawn}


@pytest.mark.parametrize("manifest", ["whole", "damaged"])
def test_a_users_file_where_the_kit_would_draw_is_refused_not_replaced(root, monkeypatch, manifest):
    monkeypatch.setitem(folder.DEMO_SIZES, "larger", (4, 12, 4, (72, 110)))
    if manifest == "damaged":
        (root / "demo.json").write_text("{")
        theirs = root / "cars_train/00001.jpg"
    else:
        theirs = root / "cars_train/00050.jpg"  # beyond what is drawn now
    theirs.write_bytes(b"my car")
    before = contents(root)
    with pytest.raises(EffnetError, match=rf"{theirs.name} was not drawn by the kit.*Move it away"):
        make_demo(root, size="smoke" if manifest == "damaged" else "larger")
    assert contents(root) == before
    theirs.unlink()
    make_demo(root, size="smoke" if manifest == "damaged" else "larger")


def test_a_list_cannot_make_the_kit_remove_anything_else(root):
    precious = root.parent / "precious.jpg"
    precious.write_bytes(b"precious")
    (root / "notes.txt").write_bytes(b"mine")
    names = {"../precious.jpg": 8, "notes.txt": 4, str(precious): 8, "cars_train": 0}
    (root / "demo.json").write_text(json.dumps({"files": names}))
    make_demo(root, size="smoke")
    assert precious.read_bytes() == b"precious" and (root / "notes.txt").read_bytes() == b"mine"


def test_stopped_while_files_are_put_in_place_and_started_again(root, monkeypatch):
    files = mine(root)
    replace, replaced = os.replace, []

    def stops(source, target):
        replaced.append(target)
        if len(replaced) == 40:  # beyond the names of the smaller drawing
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setitem(folder.DEMO_SIZES, "larger", (4, 8, 12, (72, 110)))
    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "replace", stops)
        with pytest.raises(KeyboardInterrupt):
            make_demo(root, size="larger", seed=5)
    make_demo(root, size="larger", seed=7)  # what the first one left is known as the kit's
    now = contents(root)
    assert {name: now[name] for name in files} == files
    fresh = make_demo(root.parent / "fresh", size="larger", seed=7)
    assert contents(fresh) == {name: now[name] for name in now if name not in files}


@pytest.mark.parametrize("name", ["cars_meta.mat", "cars_train/cars_train/x.jpg"])
def test_files_that_would_be_read_in_place_of_the_drawn_ones_are_refused(root, name):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"mine")
    with pytest.raises(EffnetError, match="was not drawn by the kit, and would be read in place"):
        make_demo(root, size="smoke")
    assert (root / name).read_bytes() == b"mine"


def made(root: Path) -> None:
    """An error as a command says it."""
    try:
        print(make_demo(root, size="smoke"))
    except EffnetError as error:
        sys.exit(f"error: {error}")


def test_a_full_disk_and_another_users_folder_are_one_message(smoke):
    with open_folder() as place:
        shutil.copytree(smoke, place / "demo")
        done = as_nobody(made, place / "demo")
        assert done.stdout.strip() == str(place / "demo"), done.stderr  # whole: only read
        (place / "demo/cars_train/00001.jpg").unlink()
        done = as_nobody(made, place / "demo")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "demo.lock cannot be made (Permission denied)" in done.stderr
        with small_disk(place / "disk", 0.1) as disk:
            with pytest.raises(EffnetError, match=r"demo cannot be written \(No space .* are free"):
                make_demo(disk / "demo", size="smoke")
            assert [path.name for path in disk.iterdir()] == [".demo.lock"]


SLOW = """
import os, sys, time
from effnet.demo import folder
draw = folder._draw_all
def slow(*arguments):
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    return draw(*arguments)
folder._draw_all = slow
folder.make_demo(sys.argv[1], size="smoke")
"""


def test_who_waits_is_told_for_whom(tmp_path):
    command = [sys.executable, "-c", SLOW, str(tmp_path / "demo"), str(tmp_path / "go")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, env=environment, **pipes)
    while not list(tmp_path.glob(".demo.drawing-*")):
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.Popen(command, env=environment, **pipes)
    told = second.stdout.readline()
    assert f"waiting: {tmp_path / 'demo'} is drawn by process {first.pid} on " in told
    (tmp_path / "go").touch()
    assert "drew" not in second.communicate(timeout=60)[0]
    assert "drew" in first.communicate(timeout=60)[0]
    assert first.returncode == second.returncode == 0
