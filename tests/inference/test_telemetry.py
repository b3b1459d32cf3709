import os
import subprocess
import sys

import pytest

from keras_cct.inference.telemetry import without_telemetry

PROGRAM = """
import socket, sys, threading

def refuse(*_):
    raise AssertionError("network")

socket.socket.connect = socket.getaddrinfo = refuse
started = []
start = threading.Thread.start
threading.Thread.start = lambda thread: (started.append(thread.name), start(thread))
import keras_cct.inference.openvino
from keras_cct.inference.telemetry import without_telemetry

with without_telemetry():
    import nncf
from nncf.telemetry import telemetry

telemetry.start_session("nncf_ov")
telemetry.send_event("nncf_ov", "event", "label")
assert started == [], started
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
"""


def test_openvino_and_nncf_start_no_thread_and_leave_no_file(tmp_path):
    """The test itself must not run in what the telemetry takes for a CI job, which disables it."""
    pytest.importorskip("nncf", reason="the runtimes are extras")
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment | {"HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_modules_of_another_program_are_left_unchanged(monkeypatch):
    module = object()
    monkeypatch.setitem(sys.modules, "openvino_telemetry", module)
    with without_telemetry(), pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert sys.modules["openvino_telemetry"] is module
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
    with without_telemetry():
        pass
    assert "openvino_telemetry" not in sys.modules
