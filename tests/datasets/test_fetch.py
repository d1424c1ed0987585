"""`make data`: says what is there, fetches through clients and a server of our own, verifies."""

import hashlib
import importlib.machinery
import inspect
import shutil
import sys
import threading
import types
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import layout_makers as make
import pytest

from effnet import thesis
from effnet.datasets import fetch as fetch_module
from effnet.datasets import layouts, stanford
from effnet.datasets.fetch import fetch, main, scrub
from effnet.datasets.layouts import read_annotations


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    """Stanford Cars in small: all 196 classes, one training and one test image each."""
    root = tmp_path_factory.mktemp("cars")
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    for split, mat in (
        ("train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        rows = [(1, 1, 40, 30, i, f"{i:05d}.jpg") for i in range(1, 197)]
        make.save_mat(root / mat, rows, fields)
        for i in range(1, 197):
            make.write(root / f"cars_{split}" / f"{i:05d}.jpg", b"%d" % i)
    names = {"class_names": make.cell(stanford.official_names())}
    make.scipy.io.savemat(root / "devkit" / "cars_meta.mat", names)
    return root


@pytest.fixture
def published(cars, monkeypatch):
    """The published list is that of the small dataset."""
    table = read_annotations(cars)
    monkeypatch.setattr(thesis, "annotations", lambda: table.copy())
    return table


@pytest.fixture
def served(cars, tmp_path, monkeypatch):
    """A server with the small files; their checksums are the known ones."""
    folder = tmp_path / "served"
    make.tar(folder / "car_devkit.tgz", cars, "devkit")
    shutil.copy(cars / "cars_test_annos_withlabels.mat", folder)
    for file in folder.iterdir():
        monkeypatch.setitem(fetch_module.MD5, file.name, hashlib.md5(file.read_bytes()).hexdigest())
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    yield folder, {name: f"{base}/{name}" for name in fetch_module.URLS}
    server.shutdown()
    server.server_close()


def client(monkeypatch, name: str, **functions) -> None:
    """A module that stands for a client, in place of an installed one."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for key, value in functions.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


def absent(monkeypatch, *names: str) -> None:
    found = fetch_module.importlib.util.find_spec
    monkeypatch.setattr(
        fetch_module.importlib.util,
        "find_spec",
        lambda name, *rest: None if name in names else found(name, *rest),
    )


def test_nothing_there_and_no_client_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    absent(monkeypatch, "kagglehub", "huggingface_hub")
    assert main(["--to", str(tmp_path / "new")]) == 1
    out = capsys.readouterr().out
    assert "nothing there yet" in out
    assert "pip install kagglehub" in out and "pip install huggingface_hub" in out
    assert "By hand" in out and "cars_test_annos_withlabels.mat" in out
    assert not (tmp_path / "new").exists()


def test_whole_data_is_recognised_and_nothing_is_fetched(cars, published, monkeypatch, capsys):
    def never(*args, **kwargs):
        raise AssertionError("fetched although all is there")

    monkeypatch.setattr(fetch_module, "_images_from", never)
    monkeypatch.setattr(fetch_module, "download", never)
    assert main(["--to", str(cars)]) == 0
    out = capsys.readouterr().out
    assert "392 images" in out and "Whole:" in out


def test_the_annotations_are_fetched_beside_the_images(cars, published, served, tmp_path, capsys):
    target = tmp_path / "data"
    for split in ("train", "test"):  # as the popular Kaggle copy nests them
        shutil.copytree(cars / f"cars_{split}", target / f"cars_{split}" / f"cars_{split}")
    assert fetch(target, "none", served[1])
    out = capsys.readouterr().out
    assert "cars_train/: 196 of 8,144 images" in out
    assert "cars_train_annos.mat: missing" in out
    left = sorted(path.name for path in target.iterdir())
    assert left == ["car_devkit", "cars_test", "cars_test_annos_withlabels.mat", "cars_train"]


def test_wrong_annotations_are_not_kept(cars, published, served, tmp_path, capsys):
    target = tmp_path / "data"
    for split in ("train", "test"):
        shutil.copytree(cars / f"cars_{split}", target / f"cars_{split}")
    (served[0] / "car_devkit.tgz").write_bytes(b"<html>sign in</html>")
    assert not fetch(target, "none", served[1])
    out = capsys.readouterr().out
    assert "not the right one: md5" in out and "By hand" in out
    assert stanford.find(target, "cars_meta.mat") is None
    assert not list(target.glob("car_devkit*"))


def test_kaggle_through_its_client(cars, published, tmp_path, monkeypatch, capsys):
    calls = []

    def dataset_download(handle):
        cache = Path(fetch_module.os.environ["KAGGLEHUB_CACHE"])
        calls.append(handle)
        if len(calls) == 1:
            make.write(cache / "half.archive", b"half")
            raise ConnectionError("cut off at https://h/x?X-Goog-Signature=SECRET")
        assert (cache / "half.archive").exists()  # what the client resumes from
        shutil.copytree(cars, cache / "versions" / "2" / "stanford_cars")
        return str(cache / "versions" / "2")

    client(monkeypatch, "kagglehub", dataset_download=dataset_download)
    monkeypatch.delenv("KAGGLEHUB_CACHE", raising=False)
    target = tmp_path / "data"
    assert not fetch(target, "kaggle")
    out = capsys.readouterr().out
    assert "kaggle: failed. ConnectionError: cut off at https://h/x" in out and "SECRET" not in out
    assert fetch(target, "kaggle")
    assert calls == [fetch_module.KAGGLE] * 2
    assert [path.name for path in target.iterdir()] == ["stanford_cars"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # the cache is gone
    assert "KAGGLEHUB_CACHE" not in fetch_module.os.environ


def test_hugging_face_when_kaggle_fails(tmp_path, monkeypatch, capsys):
    def refuse(handle):
        raise PermissionError("403")

    def snapshot_download(repo, *, repo_type, revision, local_dir, allow_patterns):
        assert (repo, repo_type) == (fetch_module.HUGGINGFACE, "dataset")
        assert revision == fetch_module.HUGGINGFACE_REVISION
        make.class_folders(Path(local_dir))

    client(monkeypatch, "kagglehub", dataset_download=refuse)
    client(monkeypatch, "huggingface_hub", snapshot_download=snapshot_download)
    # What came is no Stanford Cars: four classes. It is not passed off as whole.
    assert not fetch(tmp_path / "data")
    out = capsys.readouterr().out
    assert "kaggle: failed. PermissionError: 403" in out
    assert "another dataset, with 4 classes" in out


def test_the_real_clients_take_what_we_give_them():
    kagglehub = pytest.importorskip("kagglehub")
    inspect.signature(kagglehub.dataset_download).bind(fetch_module.KAGGLE)
    hub = pytest.importorskip("huggingface_hub")
    inspect.signature(hub.snapshot_download).bind(
        "a/b", repo_type="dataset", revision="x", local_dir="y", allow_patterns=["z"]
    )


def test_a_copy_with_missing_or_moved_images_is_not_whole(cars, published, tmp_path, capsys):
    target = tmp_path / "data"
    shutil.copytree(cars, target)
    (target / "cars_test" / "00007.jpg").unlink()
    assert not fetch(target, "none")
    assert "1 images are listed and not there, the first is cars_test/00007.jpg" in (
        capsys.readouterr().out
    )
    shutil.copy(cars / "cars_test" / "00007.jpg", target / "cars_test")
    rows = [(1, 1, 40, 30, max(i, 2), f"{i:05d}.jpg") for i in range(1, 197)]
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    make.save_mat(target / "cars_test_annos_withlabels.mat", rows, fields)
    assert not fetch(target, "none")
    out = capsys.readouterr().out
    assert "other number of images" in out and "class without images" in out
    assert "not byte for byte the original" in out


def test_archives_by_hand_are_checked_by_their_md5(
    cars, published, served, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(layouts, "DATA", tmp_path / "kit")
    target = tmp_path / "data"
    for name in ("cars_train", "cars_test"):
        make.tar(target / f"{name}.tgz", cars, name)
    for file in served[0].iterdir():
        shutil.copy(file, target)
    fetch_module.survey(target)
    out = capsys.readouterr().out
    assert "car_devkit.tgz: the original file (MD5 agrees)" in out
    assert "cars_train.tgz: NOT the original file, or not whole (md5" in out
    assert "392 images" in out


def test_a_full_disk_stops_before_the_download(tmp_path, monkeypatch, capsys):
    client(monkeypatch, "kagglehub")
    usage = types.SimpleNamespace(free=10**9)
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: usage)
    assert not fetch(tmp_path / "data", "kaggle")
    assert "needs 5 GB of disk, 1.0 GB are free" in capsys.readouterr().out


def test_no_credential_of_a_client_is_printed(monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "0123456789abcdef")
    error = RuntimeError(
        "401 for https://joe:pass@h.example/x?sig=abc with key 0123456789abcdef, "
        "hf_AbCdEf12345, Bearer tokentoken, token=xyz\nsecond line"
    )
    text = scrub(error)
    for secret in ("0123456789abcdef", "pass@", "abc with", "hf_AbC", "tokentoken", "xyz"):
        assert secret not in text
    assert text.startswith("RuntimeError: 401 for https://h.example/x")
    assert "second line" not in text
