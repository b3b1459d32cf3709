import keras
import pytest

from keras_cct.cli import main

OTHER_BACKEND = "jax" if keras.backend.backend() != "jax" else "torch"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-processes", "2"], "--num-processes has no effect without --distributed"),
        (["--init-timeout", "5"], "--init-timeout has no effect without --distributed"),
        (["--backend", OTHER_BACKEND], f"--backend '{OTHER_BACKEND}' comes too late"),
        (["--backend", "mxnet"], "invalid choice: 'mxnet'"),
        (["--devices", "7", "--epochs", "1"], "devices=7, but there are only 1"),
    ],
)
def test_invalid_flags_are_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["train", *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert message in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tensorflow
def test_several_processes_need_jax(tmp_path, capsys):
    flags = ["--distributed", "--coordinator", "localhost:1", "--num-processes", "2", "--process-id", "1"]
    assert main(["train", *flags, "--output", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "with the JAX backend only, got 'tensorflow'" in line
    assert "--backend jax" in line
    assert not (tmp_path / "run").exists()
