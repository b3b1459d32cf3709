"""Output that cannot be written or encoded never ends in a traceback."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from keras_cct.cli import main, models, streams
from keras_cct.cli.prediction_formats import write_text
from keras_cct.inference.prediction import Prediction

NAME = os.fsdecode(b"caf\xff.png")


def run(program: str, **settings) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-c", program]
    return subprocess.run(arguments, check=False, stderr=subprocess.PIPE, text=True, **settings)


MODELS = "import sys; from keras_cct.cli import main; sys.exit(main(['models']))"


def test_a_closed_pipe_ends_a_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = run(MODELS, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = run(MODELS, stdout=full)
    message = "No space left on device. Check the path, its permissions and the free space."
    assert (done.returncode, done.stderr) == (2, f"keras_cct models: {message}\n")


def test_a_command_needs_no_open_streams():
    assert run(MODELS, preexec_fn=lambda: (os.close(1), os.close(2))).returncode == 0


def test_the_log_is_discarded_once_it_cannot_be_written(capfd):
    reader, writer = os.pipe()
    os.close(reader)
    handler = streams.LogHandler()
    with os.fdopen(writer, "w") as handler.stream:
        for _ in range(2):
            handler.emit(logging.LogRecord("keras_cct", logging.INFO, __file__, 1, "epoch 1", None, None))
    assert capfd.readouterr().err == ""


def test_what_other_packages_log_goes_to_standard_error():
    program = (
        "import logging; from keras_cct.cli import main; main(['models', 'cct_14_7x2_224'])\n"
        "logging.getLogger('PIL').warning('theirs'); logging.getLogger('keras_cct.data').info('ours')"
    )
    done = run(program, stdout=subprocess.PIPE)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("ours", "theirs\n")


@pytest.mark.filterwarnings("default")
def test_malformed_tags_of_images_are_no_warnings(monkeypatch, capsys):
    def warn(options):
        for module in ("PIL.TiffImagePlugin", "other"):
            warnings.warn_explicit(f"from {module}", UserWarning, "file.py", 1, module=module)

    monkeypatch.setattr(models, "_models", warn)
    assert main(["models"]) == 0
    assert capsys.readouterr().err == "warning: from other\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("Unable to allocate 2 GiB"), "not enough memory (Unable to allocate 2 GiB). Use smaller images"),
        (FileNotFoundError(2, "No such file", "\x1b" + "x" * 5000), "'\\x1bxxx"),
        (UnicodeEncodeError("utf-8", "\udcff" * 5000, 0, 1, "surrogates"), "is not valid UTF-8, which TensorFlow"),
    ],
)
def test_errors_are_one_printable_line(error, message, monkeypatch, capsys):
    def fail(options):
        raise error

    monkeypatch.setattr(models, "_models", fail)
    assert main(["models"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert len(line) < 550
    assert line.isprintable()


def test_names_of_files_and_classes_cannot_forge_lines():
    stream = io.StringIO()
    write_text([Prediction("a\n  99.99 %  fake\x1b[31m.jpg", [("cat\u009b", 0.5)])], stream)
    assert stream.getvalue() == "a\\n  99.99 %  fake\\x1b[31m.jpg\n   50.00 %  cat\\x9b\n"


def test_other_errors_of_the_log_are_reported(capfd):
    handler = streams.LogHandler()
    handler.emit(logging.LogRecord("keras_cct", logging.INFO, __file__, 1, "%d", ("words",), None))
    assert "Logging error" in capfd.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_cannot_be_encoded_are_escaped(encoding, monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding))
    with streams.lasting_streams():
        print(NAME, "é")
    expected = r"caf\udcff.png é" if encoding == "utf-8" else r"caf\udcff.png \xe9"
    assert content.getvalue().decode(encoding) == f"{expected}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and an image whose names are not valid UTF-8."""
    folder = tmp_path_factory.mktemp("names")
    model = folder / os.fsdecode(b"m\xff.keras")
    assert main(["convert", "fashion_mnist", str(folder / "m.keras"), "--model", "cct_2_3x2_32"]) == 0
    (folder / "m.keras").rename(model)
    (folder / NAME).write_bytes(Path("examples/images/sneaker.png").read_bytes())
    return folder


def test_predictions_of_names_that_are_not_utf8(folder, capsys):
    model, image = folder / os.fsdecode(b"m\xff.keras"), folder / NAME
    output = folder / os.fsdecode(b"o\xff.jsonl")
    assert main(["predict", str(model), str(image), "--format", "jsonl", "--output", str(output)]) == 0
    assert json.loads(output.read_text())["path"] == str(image)
    assert main(["predict", str(model), str(folder / os.fsdecode(b"missing\xff.png"))]) == 2
    assert r"missing\udcff.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "MODEL", "PATH"],
        ["export", "MODEL", "PATH"],
        ["convert", "MODEL", "PATH"],
        ["models", "PATH"],
        ["train", "-c", "PATH"],
        ["train", "PATH"],
        ["train", "--output", "PATH", "--epochs", "1", "--batch-size", "5000", "--warmup-epochs", "0"],
        ["data", "stats", "PATH"],
        pytest.param(["data", "show", "--output", "PATH.png"], marks=pytest.mark.slow),
        pytest.param(["data", "to-folder", "sample", "PATH"], marks=pytest.mark.slow),
        ["train", "--resume", "PATH"],
    ],
)
def test_commands_name_paths_that_are_not_utf8(command, folder, capsys):
    values = {"MODEL": str(folder / os.fsdecode(b"m\xff.keras")), "PATH": str(folder / os.fsdecode(b"p\xff"))}
    words = [values.get(word, word.replace("PATH", values["PATH"])) for word in command]
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    errors = capsys.readouterr().err.splitlines()
    if code:
        assert code == 2
        assert r"p\udcff" in errors[-1]
        assert errors[-1].startswith(f"keras_cct {command[0]}")


def test_sigterm_ends_a_command_with_143():
    program = (
        "import sys, time\nfrom keras_cct import cli\nfrom keras_cct.cli import models\n"
        "def wait(options):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "models._models = wait\nsys.exit(cli.main(['models']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "keras_cct models: terminated.\n")
