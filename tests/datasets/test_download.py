"""Downloads, against a server of our own that behaves badly."""

import hashlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest
from places import as_nobody, fill, open_folder, small_disk

from effnet.datasets.download import download, shown
from effnet.errors import EffnetError
from effnet.files import CannotWrite

BODY = bytes(range(256)) * 2000  # 512,000 bytes
MD5 = hashlib.md5(BODY).hexdigest()
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, body, start=0, status=200, cut=None, length=None, headers=()):
        """Answer with body[start:], closing the connection after `cut` bytes of it."""
        payload = body[start:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(payload[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def do_GET(self):
        log = self.server.log
        wanted = self.headers.get("Range")
        log.append((self.path, wanted, self.headers.get("Authorization")))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        status = 206 if wanted else 200
        path = self.path.split("?")[0]
        count = sum(entry[0].split("?")[0] == path for entry in log)
        if path == "/ok":
            self.send(BODY, start, status)
        elif path == "/cut":  # each connection dies after 200,000 bytes
            self.send(BODY, start, status, cut=200_000)
        elif path == "/cut-no-range":  # the first dies; the server knows no ranges
            self.send(BODY, cut=100_000 if count == 1 else None)
        elif path == "/always-cut":
            self.send(BODY, start, status, cut=10)
        elif path == "/other-range":
            self.send(BODY, 5 if wanted else 0, status, cut=None if wanted else 1000)
        elif path == "/wrong":
            self.send(b"<html>quota exceeded</html>")
        elif path == "/wrong-once":
            self.send(BODY if count > 1 else b"x" * 100)
        elif path == "/busy":
            self.send(b"", status=503, headers=[("Retry-After", "0")]) if count < 3 else self.send(
                BODY
            )
        elif path == "/redirect":
            self.send(b"", status=302, headers=[("Location", "/ok")])
        elif path == "/loop":
            self.send(b"", status=302, headers=[("Location", "/loop")])
        elif path == "/to-file":
            self.send(b"", status=302, headers=[("Location", "file:///etc/hostname")])
        elif path == "/too-long":  # a part on disk is longer than the file
            self.send(b"", status=416) if start >= len(BODY) else self.send(BODY, start, status)
        elif path == "/drip":  # a byte at a time, within every socket timeout
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                pass
        elif path == "/silent":
            time.sleep(2)
        else:
            self.send(b"not here", status=404)


@pytest.fixture(scope="module")
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.log = []
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def url(server):
    server.log.clear()
    return lambda path: f"http://127.0.0.1:{server.server_port}{path}"


def get(url, target, **options):
    return download(url, target, **{"progress": False, "backoff": 0.01, "timeout": 2.0, **options})


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_plain_download_makes_folders_and_leaves_only_the_file(url, tmp_path):
    target = get(url("/ok"), tmp_path / "a" / "file.bin", sha256_prefix=SHA[:8], md5=MD5)
    assert target.read_bytes() == BODY
    assert left(target.parent) == ["file.bin"]


def test_a_cut_connection_is_resumed_where_it_broke(url, server, tmp_path):
    target = get(url("/cut"), tmp_path / "file.bin", md5=MD5)
    assert target.read_bytes() == BODY
    assert [entry[1] for entry in server.log] == [None, "bytes=200000-", "bytes=400000-"]


def test_pooch_begins_a_cut_connection_anew(url, server, tmp_path):
    """Why `download` is our own: of a file that breaks off, pooch keeps nothing."""
    fetcher = pooch.create(tmp_path, url("/"), registry={"cut": f"md5:{MD5}"}, retry_if_failed=3)
    pooch.get_logger().disabled = True
    with pytest.raises(Exception, match="200000"):
        fetcher.fetch("cut")
    assert [entry[1] for entry in server.log] == [None] * 4 and left(tmp_path) == []


def test_a_part_of_an_earlier_call_is_resumed(url, server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY[:300_000])
    assert get(url("/ok"), tmp_path / "file.bin", md5=MD5).read_bytes() == BODY
    assert server.log[0][1] == "bytes=300000-"


def test_without_a_checksum_an_old_part_is_not_trusted(url, server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"something else")
    assert get(url("/ok"), tmp_path / "file.bin").read_bytes() == BODY
    assert server.log[0][1] is None


def test_a_foreign_part_is_noticed_and_fetched_anew(url, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"something else")
    assert get(url("/ok"), tmp_path / "file.bin", md5=MD5).read_bytes() == BODY


def test_a_server_without_ranges_starts_over(url, tmp_path):
    assert get(url("/cut-no-range"), tmp_path / "file.bin").read_bytes() == BODY


def test_a_wrong_range_is_not_appended(url, tmp_path):
    with pytest.raises(EffnetError, match="another range"):
        get(url("/other-range"), tmp_path / "file.bin", retries=1)
    assert not (tmp_path / "file.bin").exists()


def test_a_part_longer_than_the_file_is_dropped(url, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY + b"more")
    assert get(url("/too-long"), tmp_path / "file.bin", md5=MD5).read_bytes() == BODY


def test_wrong_bytes_are_refused_and_removed(url, tmp_path):
    with pytest.raises(EffnetError, match=f"not the right one: md5 .*expected {MD5}"):
        get(url("/wrong"), tmp_path / "file.bin", md5=MD5)
    assert left(tmp_path) == []


def test_wrong_bytes_once_are_mended(url, tmp_path):
    assert get(url("/wrong-once"), tmp_path / "file.bin", md5=MD5).read_bytes() == BODY


def test_404_says_so_at_once(url, server, tmp_path):
    with pytest.raises(EffnetError, match="/gone: HTTP 404"):
        get(url("/gone"), tmp_path / "file.bin")
    assert len(server.log) == 1
    assert left(tmp_path) == []


def test_a_busy_server_is_asked_again(url, server, tmp_path):
    assert get(url("/busy"), tmp_path / "file.bin").read_bytes() == BODY
    assert len(server.log) == 3


def test_retries_end_and_keep_what_came(url, tmp_path):
    with pytest.raises(EffnetError, match="after 3 attempts .*closed after .* of 512000"):
        get(url("/always-cut"), tmp_path / "file.bin", md5=MD5, retries=2)
    assert (tmp_path / "file.bin.part").read_bytes() == BODY[:30]


def test_redirects_are_followed_but_not_out_of_http(url, tmp_path):
    assert get(url("/redirect"), tmp_path / "file.bin").read_bytes() == BODY
    for path in ("/loop", "/to-file"):
        with pytest.raises(EffnetError, match=path):
            get(url(path), tmp_path / "other.bin", retries=1)
        assert not (tmp_path / "other.bin").exists()
    with pytest.raises(EffnetError, match="only http"):
        get("file:///etc/hostname", tmp_path / "other.bin")


@pytest.mark.parametrize("path", ["/drip", "/silent"])
def test_a_stalled_server_does_not_hang_us(url, path, tmp_path):
    start = time.monotonic()
    with pytest.raises(EffnetError, match="after 1 attempts"):
        get(url(path), tmp_path / "file.bin", retries=0, timeout=0.3)
    assert time.monotonic() - start < 2


def test_nobody_there_is_one_clear_message(tmp_path):
    with pytest.raises(EffnetError, match="could not be fetched.*Check the connection"):
        get("http://127.0.0.1:9/file", tmp_path / "file.bin", retries=1)
    with pytest.raises(EffnetError, match="could not be fetched"):
        get("http://no-such-host.invalid/file", tmp_path / "file.bin", retries=0)


def test_a_whole_file_is_not_fetched_again_and_a_damaged_one_is(url, server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(BODY)
    get(url("/ok"), target, md5=MD5)
    assert server.log == []
    target.write_bytes(BODY[:-1] + b"?")
    assert get(url("/ok"), target, md5=MD5).read_bytes() == BODY


def test_secrets_in_a_url_reach_no_message(url, tmp_path):
    address = url("/gone?token=SECRET").replace("http://", "http://me:PASSWORD@")
    assert "SECRET" not in shown(address) and "PASSWORD" not in shown(address)
    with pytest.raises(EffnetError) as caught:
        get(address, tmp_path / "file.bin", retries=0)
    assert "SECRET" not in str(caught.value) and "PASSWORD" not in str(caught.value)


def test_several_at_once_share_one_download(url, server, tmp_path):
    target = tmp_path / "file.bin"
    threads = [
        threading.Thread(target=get, args=(url("/ok"), target), kwargs={"md5": MD5})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert target.read_bytes() == BODY
    assert len(server.log) == 1


def test_a_disk_that_fills_is_one_message_and_the_next_call_goes_on(url, server, tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        filler = fill(disk, left=200_000)
        with pytest.raises(CannotWrite) as caught:
            get(url("/ok"), disk / "file.bin", md5=MD5)
        message, part = str(caught.value), disk / "file.bin.part"
        kept = part.stat().st_size
        assert 100_000 < kept < 200_000 and part.read_bytes() == BODY[:kept]
        assert f"{part} cannot be written (No space left on device)" in message
        assert f"needs {len(BODY) - kept:,} bytes more, " in message and " are free" in message
        assert left(disk) == ["file.bin.part", "filler"]
        filler.unlink()
        assert get(url("/ok"), disk / "file.bin", md5=MD5).read_bytes() == BODY
    assert [wanted for _, wanted, _ in server.log] == [None, f"bytes={kept}-"]


def test_another_users_folder_is_one_message_and_a_whole_file_is_only_read(url):
    def fetch(target):
        try:
            print(get(url("/ok"), target, md5=MD5))
        except EffnetError as error:
            sys.exit(str(error))

    with open_folder() as place:
        target = place / "file.bin"
        done = as_nobody(fetch, target)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "Permission denied" in done.stderr and "another user" in done.stderr
        target.write_bytes(BODY)
        assert as_nobody(fetch, target).stdout.strip() == str(target)
        assert left(place) == ["file.bin"]
