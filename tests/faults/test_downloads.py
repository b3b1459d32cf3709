"""Processes that download the same file, and processes that are killed while they do."""

import hashlib
import http.server
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import keras_cct

CONTENT = random.Random(0).randbytes(2_000_000)
DOWNLOAD = """
import sys
from pathlib import Path

from keras_cct.weights.download import download

print(download(sys.argv[1], Path(sys.argv[2])))
"""
NUM_KILLS = int(os.environ.get("KERAS_CCT_FAULTS", "2"))


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the content in 0.5 seconds, from the requested offset on."""

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("ETag", '"only"')
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        try:
            for offset in range(start, len(CONTENT), 40_000):
                self.wfile.write(CONTENT[offset : offset + 40_000])
                time.sleep(0.01)
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments):
        """Logs nothing."""


@pytest.fixture
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/model.safetensors"
    server.shutdown()
    thread.join()
    server.server_close()


def start(url, folder) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(keras_cct.__file__).parents[1])}
    command = [sys.executable, "-c", DOWNLOAD, url, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def assert_intact(folder):
    (file,) = folder.rglob("*.safetensors")
    (record,) = folder.rglob("*.sha256")
    assert file.read_bytes() == CONTENT
    assert record.read_text().strip() == hashlib.sha256(CONTENT).hexdigest()
    assert not list(folder.rglob("*.part*"))


def test_concurrent_downloads_end_with_the_right_file(url, tmp_path):
    processes = [start(url, tmp_path) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1][-500:] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert_intact(tmp_path)


def test_killed_downloads_resume(url, tmp_path):
    moments = random.Random(1)
    for _ in range(NUM_KILLS):
        process = start(url, tmp_path)
        partial = None
        while process.poll() is None and partial is None:
            partial = next(tmp_path.rglob("*.part"), None)
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        if list(tmp_path.rglob("*.safetensors")):
            break
    process = start(url, tmp_path)
    errors = process.communicate(timeout=120)[1][-500:]
    assert process.returncode == 0, errors
    assert_intact(tmp_path)
