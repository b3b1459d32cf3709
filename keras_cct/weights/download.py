"""Downloads a file once: with progress, resumable, whole or not at all, and checked by its hash ever after."""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import keras

from keras_cct.errors import InputError
from keras_cct.files import replacing

OFFLINE_VARIABLE = "KERAS_CCT_OFFLINE"
CHUNK_SIZE = 1 << 20
TIMEOUT_SECONDS = 30
PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE = 206, 416

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns where downloads are kept: models/keras_cct in ~/.keras, or in the folder that KERAS_HOME names."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models", "keras_cct")


def download(url: str, folder: Path) -> Path:
    """Returns a local copy of a file, downloaded if there is none yet.

    The SHA-256 of the first copy is recorded beside it. A copy that no longer has it is fetched anew, and what is
    fetched must have it too. With KERAS_CCT_OFFLINE=1 only what is there is used.

    Args:
        url: Its address.
        folder: Folder for the copies.

    Raises:
        InputError: It cannot be had, is a web page, or is another file than the one recorded.
    """
    target = folder / _local_name(url)
    record = target.with_name(f"{target.name}.sha256")
    try:
        known = record.read_text().strip() if record.is_file() else None
        if target.is_file():
            found = sha256_of(target)
            if known in (None, found):
                _write_record(record, found)
                return target
            log.warning("%s is not the file first downloaded; fetching it again", target)
        if os.environ.get(OFFLINE_VARIABLE, "0") != "0":
            raise InputError(
                f"{str(target)!r} is missing or has changed, and {OFFLINE_VARIABLE} forbids downloads. Put {url} there."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        _fetch(url, partial)
        found = sha256_of(partial)
        if known not in (None, found):
            partial.unlink()
            raise InputError(f"{url} has changed: SHA-256 {found}, not {known}. To accept it, remove {str(record)!r}.")
        os.replace(partial, target)
        _write_record(record, found)
    except urllib.error.URLError as error:
        raise InputError(f"cannot download {url}: {error.reason}. Put the file at {str(target)!r}.") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, UnicodeError) as error:
        raise InputError(f"cannot download {url}: {error}. Put the file at {str(target)!r}.") from error
    except OSError as error:
        raise InputError(f"cannot keep {url} in {str(folder)!r}: {error}. Set KERAS_HOME to another folder.") from error
    return target


def _local_name(url: str) -> Path:
    """Returns host and path of an address, so that files of one name from two places stay apart."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url!r} is not an address: {error}. Check it.") from error
    names = [parts.netloc.replace(":", "_"), *parts.path.split("/")[1:]]
    if not all(names) or {".", ".."} & set(names):
        raise InputError(f"{url!r} is not the address of a file. Check it.")
    return Path(*names)


def _fetch(url: str, partial: Path) -> None:
    """Downloads to a file, going on where an earlier try stopped."""
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        # The part is as long as the file or longer, so it is not the start of it.
        partial.unlink()
        _fetch(url, partial)
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise InputError(f"{url} is a web page, not a file of weights. Check the address.")
        start = start if response.status == PARTIAL_CONTENT else 0
        rest = response.headers.get("Content-Length")
        size = None if rest is None else start + int(rest)
        with partial.open("ab" if start else "wb") as file:
            is_whole = _copy(response, file, size)
    if not is_whole:
        total = "unknown" if size is None else size
        raise InputError(f"{url} broke off at {partial.stat().st_size} of {total} bytes. Run it again to go on.")


def _copy(response, file, size: int | None) -> bool:
    """Writes what still arrives, and returns whether that was all."""
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
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def _write_record(record: Path, sha256: str) -> None:
    if not record.is_file():
        with replacing(record) as temporary:
            temporary.write_text(f"{sha256}\n")
