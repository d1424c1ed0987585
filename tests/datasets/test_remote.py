"""DATA_URL: an archive that a machine fetches once, and only if it is the right one."""

import functools
import hashlib
import http.server
import tarfile
import threading

import pytest

from effnet.datasets import remote
from effnet.datasets.layouts import open_dataset
from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.grid.profiles import Profile


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    images = make_demo(folder / "smoke", size="smoke")
    with tarfile.open(folder / "cars.tgz", "w:gz") as packed:
        packed.add(images, "cars")
    return folder / "cars.tgz"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "DATA", tmp_path / "data")
    return tmp_path / "data"


def url(address, archive):
    return f"{address}#sha256={hashlib.sha256(archive.read_bytes()).hexdigest()}"


def test_it_is_fetched_once_and_read_as_a_folder_is(archive, data, tmp_path):
    moved = tmp_path / "cars.tgz"
    moved.write_bytes(archive.read_bytes())
    found = remote.fetched(url(f"file://{moved}", archive))
    assert found.is_relative_to(data / "fetched") and found.read_bytes() == archive.read_bytes()
    moved.unlink()
    assert remote.fetched(url(f"file://{moved}", archive)) == found
    assert len(open_dataset(found, tmp_path / "work").annotations) > 10


def test_over_http(archive, data):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=archive.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/cars.tgz"
        assert remote.fetched(url(address, archive)).read_bytes() == archive.read_bytes()
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    "address, message",
    [
        ("https://somewhere/cars.tgz", "with the checksum '': it must be <url"),
        ("https://somewhere/cars.tgz#sha256=12", "with the checksum '12': it must be"),
        (f"https://user:word@somewhere/cars.html#sha256={'0' * 64}", "https://somewhere/cars.html"),
        (f"file:///nowhere/cars.tgz#sha256={'0' * 64}", "file:///nowhere/cars.tgz: nothing"),
        (f"nosuch://x/cars.tgz#sha256={'0' * 64}", "DATA_URL is nosuch://x/cars.tgz"),
    ],
)
def test_what_cannot_be_had_is_said(address, message, data):
    with pytest.raises(EffnetError) as told:
        remote.fetched(address)
    assert message in str(told.value) and "word" not in str(told.value)


def test_another_file_is_not_kept(archive, data):
    with pytest.raises(EffnetError, match="sha256 .*expected .*Nothing was kept"):
        remote.fetched(f"file://{archive}#sha256={'0' * 64}")
    assert not [path for path in data.rglob("*.tgz")]


def test_it_takes_the_place_of_the_folder_that_a_profile_asks_for(archive, data, monkeypatch):
    monkeypatch.setenv("DATA_URL", url(f"file://{archive}", archive))
    monkeypatch.delenv("STANFORD_CARS", raising=False)
    for job in Profile.load("sample").jobs:
        assert job.trial.path().is_file() and job.trial.path().is_relative_to(data)
    monkeypatch.setenv("STANFORD_CARS", "/somewhere")
    with pytest.raises(EffnetError, match="STANFORD_CARS is '/somewhere' and DATA_URL is set"):
        Profile.load("sample")
