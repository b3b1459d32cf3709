import contextlib
import hashlib
import http.server
import json
import threading
import time

import numpy as np
import pytest

import keras_cct
from keras_cct.weights import http as http_limits
from keras_cct.weights import pretrained
from keras_cct.weights.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` with range requests, at most `server.max_bytes` of each response.

    `server.headers` replaces headers of the response, or leaves out those that are None. `server.delay` sends single
    bytes, each after as many seconds: of the headers if `server.slow_headers`, else of the content.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        self.server.requests.append(self.headers.get("Range"))
        if self.server.slow_headers:
            self.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200)
        elif self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/missing"):
            self.send_error(404)
        else:
            self.send_content()

    def send_content(self):
        content, start = self.server.content, 0
        if "Range" in self.headers and self.headers.get("If-Range") == self.server.tag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        headers = {"Content-Type": self.server.content_type, "ETag": self.server.tag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        length = {"Transfer-Encoding": "chunked"} if self.server.chunked else {"Content-Length": len(content) - start}
        for name, value in (headers | length | self.server.headers).items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if self.server.chunked:
            self.wfile.write(b"%x\r\n" % len(content) + content[: self.server.max_bytes])
        elif self.server.delay:
            self.drip(content)
        else:
            self.wfile.write(content[start:][: self.server.max_bytes])

    def drip(self, content):
        with contextlib.suppress(OSError):
            for byte in content[:200]:
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.delay)

    def log_message(self, *arguments):
        """Logs nothing."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # closing the server waits for its threads
    server.content, server.content_type, server.max_bytes = CONTENT, "application/octet-stream", None
    server.requests, server.chunked, server.tag, server.headers = [], False, '"first"', {}
    server.delay, server.slow_headers, server.redirect = 0, False, None
    server.url = f"http://127.0.0.1:{server.server_port}/model.pth"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def file_names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def cache_of(server, folder):
    return folder / f"127.0.0.1_{server.server_port}"


def test_file_is_downloaded_once_and_its_hash_recorded(server, tmp_path):
    for _ in range(2):
        assert download(server.url, tmp_path / "cache").read_bytes() == CONTENT
    assert server.requests == [None]
    assert file_names(tmp_path / "cache") == ["model.pth", "model.pth.sha256"]
    recorded = (cache_of(server, tmp_path / "cache") / "model.pth.sha256").read_text().strip()
    assert recorded == hashlib.sha256(CONTENT).hexdigest()


def test_interrupted_download_resumes(server, tmp_path):
    server.max_bytes = 1_000_000
    with pytest.raises(keras_cct.InputError, match="interrupted after 1000000 of 3000000 bytes"):
        download(server.url, tmp_path)
    assert file_names(tmp_path) == ["model.pth.part", "model.pth.part.json"]
    server.max_bytes = None
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-"]
    assert file_names(tmp_path) == ["model.pth", "model.pth.sha256"]


def test_interruption_is_detected_without_a_content_length(server, tmp_path):
    server.chunked, server.max_bytes = True, 1_000_000
    with pytest.raises(keras_cct.InputError, match="interrupted after .* of an unknown number of bytes"):
        download(server.url, tmp_path)
    assert "model.pth" not in file_names(tmp_path)


def interrupt(server, folder):
    server.max_bytes = 1_000_000
    with pytest.raises(keras_cct.InputError, match="interrupted"):
        download(server.url, folder)
    server.max_bytes = None


def test_new_version_of_the_file_is_not_appended_to_the_old_one(server, tmp_path):
    interrupt(server, tmp_path)
    server.content, server.tag = CONTENT[::-1], '"second"'
    assert download(server.url, tmp_path).read_bytes() == CONTENT[::-1]


def test_download_without_a_version_starts_from_the_beginning(server, tmp_path):
    server.headers = {"ETag": None}
    interrupt(server, tmp_path)
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.requests == [None, None]


@pytest.mark.parametrize(
    "content_range",
    [None, "bytes 0-2999999/3000000", "bytes 1000000-2999998/3000000", "bytes 1000000-2999999/*", "nonsense"],
)
def test_another_part_than_requested_is_rejected(content_range, server, tmp_path):
    interrupt(server, tmp_path)
    server.headers = {"Content-Range": content_range}
    with pytest.raises(keras_cct.InputError, match="when asked for the bytes from 1000000 on"):
        download(server.url, tmp_path)
    assert "model.pth" not in file_names(tmp_path)


@pytest.mark.parametrize("length", [None, "-1", "many", "1e3", "9" * 30])
def test_response_without_a_length_is_rejected(length, server, tmp_path):
    server.headers = {"Content-Length": length}
    with pytest.raises(keras_cct.InputError, match="does not say how long the file is"):
        download(server.url, tmp_path)
    assert "model.pth" not in file_names(tmp_path)


def test_empty_and_huge_files_are_rejected(server, tmp_path):
    server.headers = {"Content-Length": 10**12}
    with pytest.raises(keras_cct.InputError, match="1,000,000,000,000 bytes, more than"):
        download(server.url, tmp_path)
    server.headers, server.content = {}, b""
    with pytest.raises(keras_cct.InputError, match="is empty"):
        download(server.url, tmp_path)
    assert file_names(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/model.pth", "http://[::1/x.pth"])
def test_redirect_to_another_scheme_is_rejected(url, server, tmp_path):
    server.redirect = url
    with pytest.raises(keras_cct.InputError, match="which is not an http or https URL|is not allowed|Invalid IPv6"):
        download(server.url, tmp_path)


def test_endless_redirects_end(server, tmp_path):
    server.redirect = server.url
    with pytest.raises(keras_cct.InputError, match="cannot download"):
        download(server.url, tmp_path)


def test_server_that_sends_a_byte_at_a_time_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_limits, "RATE_SECONDS", 0.3)
    server.delay = 0.02
    with pytest.raises(keras_cct.InputError, match="fewer than 1000 bytes per second.*resume it"):
        download(server.url, tmp_path)


def test_download_has_a_deadline(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_limits, "TOTAL_SECONDS", 0.2)
    server.delay = 0.02
    with pytest.raises(keras_cct.InputError, match="took longer than 0.2 seconds"):
        download(server.url, tmp_path)


def test_headers_that_arrive_a_byte_at_a_time_end(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_limits, "RESPONSE_SECONDS", 0.3)
    server.delay, server.slow_headers = 0.05, True
    with pytest.raises(keras_cct.InputError, match="did not respond within 0.3 seconds"):
        download(server.url, tmp_path)


def test_concurrent_downloads_of_one_file_do_not_mix(server, tmp_path):
    # Threads share the lock as processes do; tests/faults uses processes.
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(download(server.url, tmp_path).read_bytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 4
    assert server.requests == [None]


def test_equally_named_files_of_two_urls_do_not_collide(server, tmp_path):
    first = download(server.url.replace("model", "a/model"), tmp_path)
    server.content = CONTENT[::-1]
    second = download(server.url.replace("model", "b/model"), tmp_path)
    assert (first.read_bytes(), second.read_bytes()) == (CONTENT, CONTENT[::-1])


@pytest.mark.parametrize(
    "url", ["http://[::1/x.pth", "http://127.0.0.1/a b.pth", "http://127.0.0.1/../x.pth", "http://h/"]
)
def test_url_of_no_file_is_a_one_line_error(url, tmp_path):
    with pytest.raises(keras_cct.InputError) as error:
        download(url, tmp_path)
    assert url in str(error.value)
    assert "\n" not in str(error.value)


def test_partial_file_that_is_too_long_is_discarded(server, tmp_path):
    cache_of(server, tmp_path).mkdir()
    (cache_of(server, tmp_path) / "model.pth.part").write_bytes(bytes(4_000_000))
    (cache_of(server, tmp_path) / "model.pth.part.json").write_text(json.dumps(server.tag))
    assert download(server.url, tmp_path).read_bytes() == CONTENT


def test_corrupted_copy_is_downloaded_again(server, tmp_path, caplog):
    file = download(server.url, tmp_path)
    file.write_bytes(CONTENT[:-1] + b"x")
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert "downloading it again" in caplog.text


def test_changed_file_is_rejected(server, tmp_path):
    file = download(server.url, tmp_path)
    file.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(keras_cct.InputError, match="has changed: expected SHA-256 .*, delete .*model.pth.sha256"):
        download(server.url, tmp_path)
    assert file_names(tmp_path) == ["model.pth.sha256"]


def test_published_hash_is_checked(server, tmp_path):
    published = hashlib.sha256(CONTENT).hexdigest()
    assert download(server.url, tmp_path, published).read_bytes() == CONTENT
    with pytest.raises(keras_cct.InputError, match=f"has changed: expected SHA-256 {published[::-1]}, got {published}"):
        download(server.url, tmp_path, published[::-1])


def test_published_hash_takes_precedence_over_the_recorded_one(server, tmp_path):
    server.content = CONTENT[::-1]
    download(server.url, tmp_path)
    server.content = CONTENT
    file = download(server.url, tmp_path, hashlib.sha256(CONTENT).hexdigest())
    assert file.read_bytes() == CONTENT
    assert download(server.url, tmp_path, hashlib.sha256(CONTENT).hexdigest()) == file
    assert len(server.requests) == 2


def test_web_page_is_rejected(server, tmp_path):
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(keras_cct.InputError, match="is a web page"):
        download(server.url, tmp_path)
    assert file_names(tmp_path) == []


def test_missing_file_and_missing_server_are_one_line_errors(server, tmp_path):
    for url, reason in (
        (server.url.replace("model", "missing"), "Not Found"),
        ("http://127.0.0.1:9/model.pth", "Connection refused"),
    ):
        with pytest.raises(keras_cct.InputError, match=f"cannot download {url}: .*{reason}.*.pth") as error:
            download(url, tmp_path)
        assert "\n" not in str(error.value)


def test_offline_mode_uses_only_cached_files(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CCT_OFFLINE", "1")
    with pytest.raises(keras_cct.InputError, match="KERAS_CCT_OFFLINE forbids downloads"):
        download(server.url, tmp_path)
    cache_of(server, tmp_path).mkdir()
    (cache_of(server, tmp_path) / "model.pth").write_bytes(b"by hand")
    assert download(server.url, tmp_path).read_bytes() == b"by hand"
    assert server.requests == []


def test_cache_folder_that_cannot_be_created_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(keras_cct.InputError, match="cannot write .*Set KERAS_HOME to another folder"):
        download(server.url, tmp_path / "file" / "cache")


def test_tag_loads_the_published_weights(server, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cct_7_3x1_32"))
    torch.save({key: torch.from_numpy(value) for key, value in weights.items()}, tmp_path / "weights.pth")
    server.content = (tmp_path / "weights.pth").read_bytes()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(pretrained, "BASE_URL", server.url.removesuffix("model.pth"))
    loaded = keras_cct.export_torch_weights(keras_cct.create_model("cct_7_3x1_32", weights="cifar10"))
    assert all(np.array_equal(loaded[key], value) for key, value in weights.items())
    assert file_names(tmp_path / "models" / "keras_cct")[0] == "cct_7_3x1_32_cifar10_300epochs.pth"
