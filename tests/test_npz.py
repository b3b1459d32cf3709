import io
import os
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from keras_cct.errors import InputError
from keras_cct.npz import read_npz


def write(path, **members: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy_bytes(header: dict, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + data


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read(save, tmp_path):
    arrays = {
        "images": np.arange(24, dtype="uint8").reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["ant", "bee"]),
        "scalar": np.array(3),
        "empty": np.zeros((0, 3)),
    }
    save(tmp_path / "arrays.npz", **arrays)
    read = read_npz(tmp_path / "arrays.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


HEADER = {"descr": "|u1", "fortran_order": False, "shape": (4,)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy_bytes(HEADER | {"shape": (10**13,)}, b"1234"), "claims 10,000,000,000,000 bytes and has 4"),
        (npy_bytes(HEADER, b"12345"), "claims 4 bytes and has 5"),
        (npy_bytes(HEADER | {"shape": (-4,)}, b"1234"), "claims|shape"),
        (npy_bytes(HEADER | {"shape": (0, 10**30)}), "an .npz file"),
        (npy_bytes(HEADER | {"descr": "|O"}, bytes(32)), "pickled"),
        (npy_bytes(HEADER | {"descr": "|V0"}), "no values"),
        (npy_bytes(HEADER, b"1234").replace(b"{", b"("), "an .npz file"),
        (npy_bytes(HEADER, b"1234").replace(b"'shape': (4,)", b"'shape': (4(("), "an .npz file"),
        (npy_bytes(HEADER, b"1234").replace(b"(4,), }", b"[" * 7), "an .npz file"),
        (b"\x93NUMPY\x09\x09", "an .npz file"),
        (b"", "an .npz file"),
    ],
)
def test_hostile_array_is_one_error_that_names_the_file(content, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        read_npz(write(tmp_path / "evil.npz", array=content))
    assert "evil.npz" in str(error.value)


def test_compression_bomb_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(2**27, "uint8"))
    with pytest.raises(InputError, match="expands to 134,21.* bytes"):
        read_npz(tmp_path / "bomb.npz")


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "zeros.npz").symlink_to("/dev/zero")
    for name in ("pipe.npz", "zeros.npz"):
        with pytest.raises(InputError, match=f"{name}' is not a regular file"):
            read_npz(tmp_path / name)
