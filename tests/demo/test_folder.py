"""The demo's generator: layout, boxes, determinism, and folders that are either whole or absent."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat
from torchvision.datasets import StanfordCars

from effnet.demo import folder
from effnet.demo.bodies import TYPES, catalogue
from effnet.demo.draw import draw_image
from effnet.demo.folder import make_demo, make_pretext
from effnet.errors import EffnetError


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """In a folder of the name that torchvision looks for."""
    return make_demo(tmp_path_factory.mktemp("data") / "stanford_cars", size="smoke")


def contents(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_same_seed_same_bytes_other_seed_other_bytes(smoke, tmp_path):
    again = contents(make_demo(tmp_path / "again", size="smoke"))
    other = contents(make_demo(tmp_path / "other", size="smoke", seed=7))
    assert again == contents(smoke)
    for name in ("cars_train/00001.jpg", "cars_test/00003.jpg", "devkit/cars_train_annos.mat"):
        assert again[name] != other[name]
    names = "devkit/cars_meta.mat"
    assert again[names] == other[names]  # the classes are the same for every seed


def test_torchvision_reads_it(smoke):
    train = StanfordCars(smoke.parent, split="train")
    test = StanfordCars(smoke.parent, split="test")
    assert train.classes == list(catalogue("Demo", 4))
    for split in (train, test):
        labels = [label for _, label in split]
        assert set(labels) == {0, 1, 2, 3}
        assert all(image.mode == "RGB" for image, _ in split)
    assert 25 <= len(train) <= 60 and 12 <= len(test) <= 30
    folder = [path.name for path in sorted((smoke / "cars_train").iterdir())]
    assert [Path(path).name for path, _ in train._samples] == folder


def test_mat_files_have_the_originals_types(smoke):
    names = loadmat(smoke / "devkit/cars_meta.mat")["class_names"]
    assert names.shape == (1, 4) and names.dtype == object and names[0, 0].dtype.kind == "U"
    rows = loadmat(smoke / "cars_test_annos_withlabels.mat")["annotations"]
    fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    assert rows.dtype.names == fields and rows.shape[0] == 1
    for field in fields[:-1]:
        assert rows[0, 0][field].shape == (1, 1) and rows[0, 0][field].dtype == np.uint8
    assert rows[0, 0]["fname"].tolist() == ["00001.jpg"]


@pytest.mark.skipif(not os.environ.get("STANFORD_CARS"), reason="needs real annotations")
def test_mat_files_look_like_the_real_ones(smoke):
    real = Path(os.environ["STANFORD_CARS"])
    for name in ("devkit/cars_train_annos.mat", "devkit/cars_meta.mat"):
        if not (real / name).exists():
            pytest.skip(f"another layout: no {name}")
        ours, theirs = loadmat(smoke / name), loadmat(real / name)
        key = next(key for key in theirs if not key.startswith("__"))
        assert ours[key].dtype == theirs[key].dtype and ours[key].ndim == theirs[key].ndim
        if key == "annotations":
            for field in theirs[key].dtype.names:
                a, b = ours[key][0, 0][field], theirs[key][0, 0][field]
                assert (a.shape, a.dtype.kind) == (b.shape, b.dtype.kind)


def test_boxes_lie_in_the_images(smoke):
    rows = loadmat(smoke / "devkit/cars_train_annos.mat", squeeze_me=True)["annotations"]
    for row in rows:
        width, height = Image.open(smoke / "cars_train" / row["fname"]).size
        assert 1 <= row["bbox_x1"] < row["bbox_x2"] <= width
        assert 1 <= row["bbox_y1"] < row["bbox_y2"] <= height


@pytest.mark.parametrize("name", catalogue("Demo", 2 * len(TYPES)))
def test_boxes_lie_around_the_car(name):
    """What changes with the paint is the car: the box holds it, and is filled by it."""
    body = catalogue("Demo", 2 * len(TYPES))[name]
    unpainted = 0.3 + body.cladding / body.roof
    for index in range(4):
        pictures = []
        for paint in ((250, 20, 20), (20, 20, 250)):
            image, box = draw_image(body, np.random.default_rng(index), paint=paint)
            pictures.append(np.asarray(image, dtype=int))
        painted = np.abs(pictures[0] - pictures[1]).max(axis=2) > 60
        ys, xs = np.nonzero(painted)
        x1, y1, x2, y2 = box
        # A pixel of slack: antialiasing, and lines that are drawn with some thickness.
        assert x1 - 2 <= xs.min() and xs.max() <= x2 and y1 - 2 <= ys.min() and ys.max() < y2
        # Lamps and bumpers end the car to the left and right, a roof trim above, tyres below.
        assert xs.min() - x1 < 0.06 * (x2 - x1) and x2 - xs.max() < 0.06 * (x2 - x1)
        assert ys.min() - y1 < 0.5 * (y2 - y1) and y2 - ys.max() < unpainted * (y2 - y1)


def test_classes_are_uneven_with_one_outlier(tmp_path, monkeypatch):
    blank = Image.new("RGB", (4, 3)), (1, 1, 4, 3)
    monkeypatch.setattr(folder, "draw_image", lambda *_: blank)  # only the counts matter here
    root = make_demo(tmp_path / "demo")
    sizes = {}
    for split, name in (
        ("train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        rows = loadmat(root / name, squeeze_me=True)["annotations"]
        sizes[split] = np.bincount([int(row["class"]) for row in rows])[1:]
    train = np.sort(sizes["train"])
    assert len(train) == 14 and train[0] < train[-2] and train[-1] > 2 * train[-2]
    assert sizes["train"].argmax() == sizes["test"].argmax()
    assert 240 <= train.sum() <= 300 and 110 <= sizes["test"].sum() <= 150


def test_pretext_shares_no_class_and_no_picture(smoke, tmp_path):
    pretext = make_pretext(tmp_path / "pretext", size="smoke", seed=0)
    names = loadmat(pretext / "devkit/cars_meta.mat", squeeze_me=True)["class_names"].tolist()
    assert not set(names) & set(catalogue("Demo", 14))
    ours = {data for name, data in contents(smoke).items() if name.endswith(".jpg")}
    assert not ours & set(contents(pretext).values())
    vectors = [
        np.array([value for value in asdict(body).values() if isinstance(value, float)])
        for kind in ("Demo", "Pretext")
        for body in catalogue(kind, 14).values()
    ]
    for index, vector in enumerate(vectors):
        for other in vectors[:index]:
            assert np.abs(vector - other).max() > 0.05  # metres


def test_twins_differ_in_body_and_trim():
    classes = list(catalogue("Demo", 14).values())
    for a, b in zip(classes[::2], classes[1::2], strict=True):
        assert a.roof != b.roof and a.wheelbase != b.wheelbase
        assert (a.roof_trim, a.stripe, a.rims) != (b.roof_trim, b.stripe, b.rims)


def test_a_complete_folder_is_returned_at_once(smoke, monkeypatch):
    monkeypatch.setattr(folder, "_draw_all", lambda *_: pytest.fail("drew again"))
    start = time.perf_counter()
    assert make_demo(smoke, size="smoke") == smoke
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("damage", ["missing", "shortened", "manifest", "version", "seed"])
def test_a_damaged_or_outdated_folder_is_drawn_again(smoke, tmp_path, monkeypatch, damage):
    root = tmp_path / "demo"
    drawn = contents(smoke)
    shutil.copytree(smoke, root)
    if damage == "missing":
        (root / "cars_train/00002.jpg").unlink()
    elif damage == "shortened":
        (root / "cars_train/00002.jpg").write_bytes(drawn["cars_train/00002.jpg"][:100])
    elif damage == "manifest":
        (root / "demo.json").write_text("{")
    elif damage == "version":
        monkeypatch.setattr(folder, "_version", lambda: "another")
    calls = []
    draw_all = folder._draw_all
    monkeypatch.setattr(folder, "_draw_all", lambda *a: calls.append(a) or draw_all(*a))
    make_demo(root, size="smoke", seed=3 if damage == "seed" else 0)
    assert len(calls) == 1
    if damage in ("missing", "shortened", "manifest"):
        assert contents(root) == drawn
    make_demo(root, size="smoke", seed=3 if damage == "seed" else 0)
    assert len(calls) == 1


def test_an_exception_leaves_the_old_folder_and_no_half_made_one(smoke, tmp_path, monkeypatch):
    save, saved = Image.Image.save, []

    def fail(image, *args, **options):
        saved.append(args)
        if len(saved) % 7 == 0:
            raise KeyboardInterrupt
        save(image, *args, **options)

    root = tmp_path / "demo"
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        make_demo(root, size="smoke")
    assert [path.name for path in tmp_path.iterdir()] == [".demo.lock"]
    shutil.copytree(smoke, root)
    with pytest.raises(KeyboardInterrupt):
        make_demo(root, size="smoke", seed=5)
    assert len(saved) == 14 and contents(root) == contents(smoke)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.lock", "demo"]


def test_a_killed_process_leaves_nothing_that_counts(tmp_path):
    """SIGKILL in the middle, then again: the second call ends with the whole folder alone."""
    root = tmp_path / "demo"
    code = f"from effnet.demo.folder import make_demo; make_demo({str(root)!r}, size='demo')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob(".demo.drawing-*/new/cars_train/*.jpg")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not root.exists()
    make_demo(root, size="smoke")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.lock", "demo"]


def test_two_processes_at_once_make_one_folder(smoke, tmp_path):
    root = tmp_path / "demo"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=make_demo, args=(root, 0, "smoke")) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert contents(root) == contents(smoke)


def test_foreign_files_and_unknown_sizes_are_refused(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(EffnetError, match="did not write"):
        make_demo(tmp_path, size="smoke")
    with pytest.raises(EffnetError, match="did not write"):
        make_demo(tmp_path / "photo.jpg", size="smoke")
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"
    with pytest.raises(EffnetError, match="demo, smoke"):
        make_demo(tmp_path / "new", size="large")
    assert not (tmp_path / "new").exists()
