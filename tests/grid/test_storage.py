"""Runs that travel: whole epochs or none, whatever happens on the way."""

import json
import os
import platform
from pathlib import Path

import pytest

pytest.importorskip("fsspec")
from effnet.errors import EffnetError
from effnet.grid import lease, storage
from effnet.grid.lease import only_driver
from effnet.grid.storage import Storage, StorageFailed
from effnet.training.status import Status

FILES = ("trial.json", "metrics.csv", "best.ckpt", "last.ckpt")


@pytest.fixture
def store(tmp_path):
    return Storage(f"file://{tmp_path}/store", "own")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "store/own/0123456789ab"


def epoch(folder, number, state="running", **contents):
    """The files of a run after so many epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: f"{name} {number}" for name in FILES} | {"trial.json": "{}"}
    for name, text in (known | contents).items():
        (folder / name).write_text(text)
    Status(folder, 9).write(state, number)
    return folder


def loaded(store, folder, **options):
    """Name of what came, and the epoch that its files are of."""
    name = store.load(folder, **options)
    return name, {f.split(".")[0]: (folder / f).read_text() for f in FILES if (folder / f).exists()}


def test_the_newest_epoch_comes_and_earlier_ones_are_cleared_away(store, place, tmp_path):
    here = tmp_path / "here/0123456789ab"
    for number in (1, 2):
        store.save(epoch(here, number, **{"best.ckpt": "best of epoch 1"}), f"{number:05d}")
    there = tmp_path / "there/0123456789ab"
    name, files = loaded(store, there)
    assert name == "00002" and files["last"] == "last.ckpt 2" and files["best"] == "best of epoch 1"
    assert json.loads((there / "status.json").read_text())["epochs_done"] == 2
    assert sorted(p.name for p in place.iterdir()) == ["00002.json", "files"]
    assert len(list((place / "files").iterdir())) == 4


def test_what_has_not_changed_is_not_sent_again(store, place, tmp_path, monkeypatch):
    here, sent = tmp_path / "here/0123456789ab", []
    put = Storage._put
    monkeypatch.setattr(Storage, "_put", lambda self, n, c: (sent.append(c), put(self, n, c)))
    store.save(epoch(here, 1), "00001")
    assert {c.name for c in sent if isinstance(c, Path)} == set(FILES)
    sent.clear()
    store.save(epoch(here, 2, **{"best.ckpt": "best.ckpt 1"}), "00002")
    assert {c.name for c in sent if isinstance(c, Path)} == {"metrics.csv", "last.ckpt"}


def test_an_epoch_that_is_half_there_is_not_there(store, place, tmp_path):
    here = tmp_path / "here/0123456789ab"
    store.save(epoch(here, 1), "00001")
    whole = (place / "00001.json").read_text()
    files = {path: path.read_bytes() for path in (place / "files").iterdir()}
    store.save(epoch(here, 2), "00002")
    for path, content in files.items():  # as before what was old was removed
        path.write_bytes(content)
    (place / "00001.json").write_text(whole)
    (place / "00002.json").write_text((place / "00002.json").read_text()[:-40])
    assert loaded(store, tmp_path / "a/0123456789ab")[0] == "00001"
    store.save(epoch(here, 3), "00003")
    (place / "00001.json").write_text(whole)
    for path, content in files.items():
        path.write_bytes(content)
    last = json.loads((place / "00003.json").read_text())["files"]["last.ckpt"]["sha256"]
    (place / "files" / last).write_text("cut")
    name, files = loaded(store, tmp_path / "b/0123456789ab")
    assert (name, files["last"]) == ("00001", "last.ckpt 1")
    (place / "files" / last).unlink()
    assert loaded(store, tmp_path / "c/0123456789ab")[0] == "00001"


def test_a_node_that_was_given_up_does_not_set_a_run_back(store, place, tmp_path):
    store.save(epoch(tmp_path / "new/0123456789ab", 3), "00003")
    store.save(epoch(tmp_path / "old/0123456789ab", 2), "00002")
    name, files = loaded(store, tmp_path / "third/0123456789ab")
    assert (name, files["last"]) == ("00003", "last.ckpt 3")


def test_who_is_as_far_takes_nothing(store, tmp_path):
    here = epoch(tmp_path / "here/0123456789ab", 2)
    store.save(here, "00002")
    epoch(here, 3)
    assert loaded(store, here)[1]["last"] == "last.ckpt 3"
    assert store.load(tmp_path / "there/ffffffffffff") is None


def test_how_a_run_ended(store, place, tmp_path):
    here, there = tmp_path / "here/0123456789ab", tmp_path / "there/0123456789ab"
    store.save(epoch(here, 1), "00001")
    assert store.load(there, ends=True) is None and not there.exists()
    assert store.ended() == set()
    store.save(epoch(here, 1, "failed"), "failed")
    name, files = loaded(store, there, ends=True)
    assert name == "failed" and set(files) == {"trial", "metrics"}
    assert loaded(store, tmp_path / "again/0123456789ab")[0] == "00001", "it may be tried again"
    (here / "summary.json").write_text("{}")
    store.save(epoch(here, 2, "finished"), "finished")
    assert loaded(store, there, ends=True)[0] == "finished"
    assert store.ended() == {"0123456789ab"}
    assert not (there / "last.ckpt").exists() and (there / "best.ckpt").read_text() == "best.ckpt 2"
    assert sorted(p.name for p in place.iterdir()) == ["files", "finished.json"]


def test_places_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    with pytest.raises(StorageFailed, match="STORAGE is nowhere://x"):
        Storage("nowhere://x", "own")
    (tmp_path / "file").write_text("")
    store = Storage(f"file://{tmp_path}/file", "own")
    with pytest.raises(StorageFailed, match="STORAGE is file://"):
        store.save(epoch(tmp_path / "here/0123456789ab", 1), "00001")
    monkeypatch.setenv("MY_SECRET_KEY", "correcthorse")

    def refuse(*_):
        raise OSError("denied: correcthorse")

    monkeypatch.setattr(store.files, "pipe_file", refuse)
    with pytest.raises(StorageFailed) as told:
        store.write("driver.json", {})
    assert "denied" in str(told.value) and "correcthorse" not in str(told.value)


def test_a_place_that_fails_for_a_moment_is_asked_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    pipe, failures = store.files.pipe_file, iter([OSError("reset"), OSError("reset")])

    def flapping(*arguments):
        if error := next(failures, None):
            raise error
        pipe(*arguments)

    monkeypatch.setattr(store.files, "pipe_file", flapping)
    store.write("driver.json", {"a": 1})
    assert store.read("driver.json") == {"a": 1}


def test_a_second_driver_is_refused_with_the_first_ones_host_and_start(store, tmp_path):
    with only_driver(tmp_path / "one", store):
        sign = store.read("driver.json")
        assert sign["pid"] == os.getpid()
        with pytest.raises(EffnetError) as told:
            with only_driver(tmp_path / "two", store):
                pass
        assert f"process {os.getpid()} on {platform.node()} since {sign['since']}" in str(
            told.value
        )
    with pytest.raises(FileNotFoundError):
        store.read("driver.json")


def test_a_driver_that_shows_no_life_is_taken_over(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "SETTLED", 0.0)
    gone = {"pid": 2**22 + 1, "host": platform.node(), "since": "then", "beat": 3}
    store.write("driver.json", gone)
    with only_driver(tmp_path / "two", store):  # of this machine: its process is not there
        pass
    store.write("driver.json", gone | {"host": "elsewhere"})
    with only_driver(tmp_path / "two", store):
        assert store.read("driver.json")["host"] == platform.node()
    assert "does the driver on elsewhere live?" in capsys.readouterr().out
    beats = iter(range(4, 100))
    read = store.read

    def living(name):
        return read(name) | {"host": "elsewhere", "beat": next(beats)}

    store.write("driver.json", gone)
    monkeypatch.setattr(store, "read", living)
    with pytest.raises(EffnetError, match="on elsewhere since then"):
        with only_driver(tmp_path / "two", store):
            pass
