import hashlib
import http.server
import threading

import numpy as np
import pytest

import keras_cct
from keras_cct.weights import pretrained
from keras_cct.weights.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` with ranges, and breaks off after `server.most_bytes`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        self.server.requests.append(self.headers.get("Range"))
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        content, start = self.server.content, 0
        if "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", self.server.content_type)
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(content) + content[: self.server.most_bytes])
            return
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.most_bytes])

    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.content_type, server.most_bytes = CONTENT, "application/octet-stream", None
    server.requests, server.chunked = [], False
    server.url = f"http://127.0.0.1:{server.server_port}/model.pth"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def local(server, folder):
    return folder / f"127.0.0.1_{server.server_port}"


def test_a_file_is_downloaded_once_and_its_hash_recorded(server, tmp_path):
    for _ in range(2):
        assert download(server.url, tmp_path / "cache").read_bytes() == CONTENT
    assert server.requests == [None]
    assert names(tmp_path / "cache") == ["model.pth", "model.pth.sha256"]
    recorded = (local(server, tmp_path / "cache") / "model.pth.sha256").read_text().strip()
    assert recorded == hashlib.sha256(CONTENT).hexdigest()


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    server.most_bytes = 1_000_000
    with pytest.raises(keras_cct.InputError, match="broke off at 1000000 of 3000000 bytes. Run it again to go on"):
        download(server.url, tmp_path)
    assert names(tmp_path) == ["model.pth.part"]
    server.most_bytes = None
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-"]
    assert names(tmp_path) == ["model.pth", "model.pth.sha256"]


def test_a_break_is_seen_even_where_the_size_is_not_known(server, tmp_path):
    server.chunked, server.most_bytes = True, 1_000_000
    with pytest.raises(keras_cct.InputError, match="broke off at .* of unknown bytes. Run it again to go on"):
        download(server.url, tmp_path)
    assert names(tmp_path) == ["model.pth.part"]


def test_files_of_one_name_from_two_places_stay_apart(server, tmp_path):
    first = download(server.url.replace("model", "a/model"), tmp_path)
    server.content = CONTENT[::-1]
    second = download(server.url.replace("model", "b/model"), tmp_path)
    assert (first.read_bytes(), second.read_bytes()) == (CONTENT, CONTENT[::-1])


@pytest.mark.parametrize(
    "url", ["http://[::1/x.pth", "http://127.0.0.1/a b.pth", "http://127.0.0.1/../x.pth", "http://h/"]
)
def test_addresses_of_no_file_are_one_line(url, tmp_path):
    with pytest.raises(keras_cct.InputError) as error:
        download(url, tmp_path)
    assert url in str(error.value)
    assert "\n" not in str(error.value)


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    local(server, tmp_path).mkdir()
    (local(server, tmp_path) / "model.pth.part").write_bytes(bytes(4_000_000))
    assert download(server.url, tmp_path).read_bytes() == CONTENT


def test_a_corrupted_copy_is_fetched_again(server, tmp_path, caplog):
    file = download(server.url, tmp_path)
    file.write_bytes(CONTENT[:-1] + b"x")
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert "is not the file first downloaded; fetching it again" in caplog.text


def test_a_changed_file_under_a_known_hash_is_refused(server, tmp_path):
    file = download(server.url, tmp_path)
    file.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(keras_cct.InputError, match="has changed: SHA-256 .* To accept it, remove"):
        download(server.url, tmp_path)
    assert names(tmp_path) == ["model.pth.sha256"]


def test_a_web_page_is_refused(server, tmp_path):
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(keras_cct.InputError, match="is a web page, not a file of weights"):
        download(server.url, tmp_path)
    assert names(tmp_path) == []


def test_a_missing_file_and_a_missing_server_are_one_line(server, tmp_path):
    for url, reason in (
        (server.url.replace("model", "missing"), "Not Found"),
        ("http://127.0.0.1:9/model.pth", "Connection refused"),
    ):
        with pytest.raises(keras_cct.InputError, match=f"cannot download {url}: .*{reason}.* Put the file at") as error:
            download(url, tmp_path)
        assert "\n" not in str(error.value)


def test_offline_uses_only_what_is_there(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CCT_OFFLINE", "1")
    with pytest.raises(keras_cct.InputError, match="KERAS_CCT_OFFLINE forbids downloads"):
        download(server.url, tmp_path)
    local(server, tmp_path).mkdir()
    (local(server, tmp_path) / "model.pth").write_bytes(b"by hand")
    assert download(server.url, tmp_path).read_bytes() == b"by hand"
    assert server.requests == []


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(keras_cct.InputError, match="cannot keep .* Set KERAS_HOME to another folder"):
        download(server.url, tmp_path / "file" / "cache")


def test_a_tag_loads_the_published_weights(server, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cct_7_3x1_32"))
    torch.save({key: torch.from_numpy(value) for key, value in weights.items()}, tmp_path / "weights.pth")
    server.content = (tmp_path / "weights.pth").read_bytes()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(pretrained, "BASE_URL", server.url.removesuffix("model.pth"))
    loaded = keras_cct.export_torch_weights(keras_cct.create_model("cct_7_3x1_32", weights="cifar10"))
    assert all(np.array_equal(loaded[key], value) for key, value in weights.items())
    assert names(tmp_path / "models" / "keras_cct")[0] == "cct_7_3x1_32_cifar10_300epochs.pth"


def test_tags_that_do_not_exist_are_answered_with_those_that_do():
    message = "cct_7_3x1_32_sine has no weights 'imagenet'. It has cifar10, cifar10-1500"
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.create_model("cct_7_3x1_32_sine", weights="imagenet")
    message = "cvt_7_4_32 has no published weights 'cifar10'. .*, cct_7_3x1_32, .* have some"
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.create_model("cvt_7_4_32", weights="cifar10")
