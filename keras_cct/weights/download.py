"""Resumable, atomic downloads verified by SHA-256."""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

import keras

from keras_cct.errors import InputError
from keras_cct.files import replacing

OFFLINE_VARIABLE = "KERAS_CCT_OFFLINE"
CHUNK_SIZE = 1 << 20
TIMEOUT_SECONDS = 30
PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE = 206, 416

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns the download cache: models/keras_cct in the folder named by KERAS_HOME, by default ~/.keras."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models", "keras_cct")


def download(url: str, folder: Path, sha256: str | None = None) -> Path:
    """Returns the cached copy of a file, downloading it if necessary.

    Without a published hash, the SHA-256 of the first download is recorded next to the file. A cached copy with another
    hash is downloaded again; a download with another hash is an error. If KERAS_CCT_OFFLINE is 1, only cached copies
    are used.

    Args:
        url: URL of the file.
        folder: Cache folder.
        sha256: Published SHA-256 of the file, if known. It takes precedence over a recorded one.

    Raises:
        InputError: The file cannot be downloaded or written, is a web page, or has another hash than expected.
    """
    target = folder / _cache_path(url)
    record = target.with_name(f"{target.name}.sha256")
    try:
        expected = sha256 or (record.read_text().strip() if record.is_file() else None)
        if target.is_file():
            found = sha256_of(target)
            if expected in (None, found):
                _write_record(record, found)
                return target
            log.warning("%s has SHA-256 %s instead of %s; downloading it again", target, found, expected)
        if os.environ.get(OFFLINE_VARIABLE, "0") != "0":
            raise InputError(
                f"weights file {str(target)!r} is missing or has changed, and {OFFLINE_VARIABLE} forbids downloads. "
                f"Download {url} to this path."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        _fetch(url, partial)
        found = sha256_of(partial)
        if expected not in (None, found):
            partial.unlink()
            advice = (
                "Try again, or report this to keras_cct."
                if sha256
                else f"To accept the new file, delete {str(record)!r}."
            )
            raise InputError(f"{url} has changed: expected SHA-256 {expected}, got {found}. {advice}")
        partial.replace(target)
        _write_record(record, found)
    except urllib.error.URLError as error:
        raise InputError(f"cannot download {url}: {error.reason}. Download it to {str(target)!r} yourself.") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, UnicodeError) as error:
        raise InputError(f"cannot download {url}: {error}. Download it to {str(target)!r} yourself.") from error
    except OSError as error:
        raise InputError(
            f"cannot write {url} to {str(folder)!r}: {error}. Set KERAS_HOME to another folder."
        ) from error
    return target


def _cache_path(url: str) -> Path:
    """Returns host and path of a URL, so that equally named files of different origin do not collide."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url!r} is not a valid URL: {error}. Check it.") from error
    names = [parts.netloc.replace(":", "_"), *parts.path.split("/")[1:]]
    if not all(names) or {".", ".."} & set(names):
        raise InputError(f"{url!r} is not the URL of a file. Check it.")
    return Path(*names)


def _fetch(url: str, partial: Path) -> None:
    """Downloads a file, resuming an interrupted download."""
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        # The partial file is at least as long as the whole file, so it cannot be the beginning of it.
        partial.unlink()
        _fetch(url, partial)
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise InputError(f"{url} is a web page, not a weights file. Check the URL.")
        start = start if response.status == PARTIAL_CONTENT else 0
        num_bytes_left = response.headers.get("Content-Length")
        size = None if num_bytes_left is None else start + int(num_bytes_left)
        with partial.open("ab" if start else "wb") as file:
            is_complete = _copy(response, file, size)
    if not is_complete:
        total = "an unknown number of" if size is None else size
        raise InputError(
            f"the download of {url} was interrupted after {partial.stat().st_size} of {total} bytes. "
            f"Run the command again to resume it."
        )


def _copy(response: http.client.HTTPResponse, file: BinaryIO, size: int | None) -> bool:
    """Appends the response to the file and returns whether the file is complete."""
    progress = keras.utils.Progbar(size, unit_name="byte")
    try:
        while chunk := response.read(CHUNK_SIZE):
            file.write(chunk)
            progress.update(file.tell())
    except (ConnectionError, TimeoutError, http.client.HTTPException):
        return False
    return size is None or file.tell() == size


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_record(record: Path, sha256: str) -> None:
    if not record.is_file():
        with replacing(record) as temporary:
            temporary.write_text(f"{sha256}\n")
