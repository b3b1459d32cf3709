import io
import struct
import zipfile

import pytest

from keras_cct.archives import open_archive, read_member
from keras_cct.errors import InputError


def archive_of(*contents: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in contents:
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = archive_of(("a", b"first"), ("b", b"second"))
END = len(GOOD) - 22
"""Offset of the end record."""


def open_bytes(content: bytes, max_members: int = 10) -> list[str]:
    with open_archive(io.BytesIO(content), max_members) as archive:
        return archive.namelist()


def with_bytes(offset: int, replacement: bytes) -> bytes:
    return GOOD[:offset] + replacement + GOOD[offset + len(replacement) :]


def test_members_are_listed_and_read():
    assert open_bytes(GOOD) == ["a", "b"]
    with open_archive(io.BytesIO(GOOD)) as archive:
        assert read_member(archive, "b", 6) == b"second"
        for name, max_bytes, message in (("b", 5, "has 6 bytes, more than 5"), ("c", 5, "has no member 'c'")):
            with pytest.raises(InputError, match=message):
                read_member(archive, name, max_bytes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive_of(("x", b"1"), ("y", b"2")).replace(b"y", b"x"), "two members 'x'"),
        (archive_of(("../x", b"1")), "a member outside of it, '../x'"),
        (archive_of(("a/../../x", b"1")), "a member outside of it"),
        (archive_of(("/x", b"1")), "a member outside of it"),
        (archive_of(("x", b"1"), compression=zipfile.ZIP_LZMA), "unknown compression"),
        (archive_of(("x", bytes(2**27)), compression=zipfile.ZIP_DEFLATED), "expands to 134,217,728 bytes"),
        (archive_of(*((str(index), b"") for index in range(11))), "11 members"),
        (with_bytes(END + 10, struct.pack("<H", 60_000)), "60,000 members"),
        (with_bytes(END + 12, struct.pack("<I", 2**31)), "a directory of 2,147,483,648 bytes"),
    ],
)
def test_hostile_archive_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        open_bytes(content)


@pytest.mark.parametrize("content", [b"", b"PK\5\6", GOOD[:-1], GOOD + b"comment", b"<html>" * 100, GOOD[:END]])
def test_other_content_is_not_an_archive(content):
    with pytest.raises(zipfile.BadZipFile):
        open_bytes(content)


def test_sizes_in_a_64_bit_end_record_are_checked():
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10**6, 10**6, 2**40, 0)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, END, 1)
    with pytest.raises(InputError, match="1,000,000 members and a directory of 1,099,511,627,776 bytes"):
        open_bytes(GOOD[:END] + record + locator + GOOD[END:])
    with pytest.raises(zipfile.BadZipFile, match="misplaced"):
        open_bytes(GOOD[:END] + record + b" " + locator + GOOD[END:])
