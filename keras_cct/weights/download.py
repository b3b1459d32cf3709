"""Resumable, atomic downloads verified by SHA-256."""

import hashlib
import http.client
import json
import logging
import os
import re
import urllib.error
import urllib.parse
from pathlib import Path

import filelock
import tqdm

from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.weights.http import CHUNK_BYTES, DownloadError, open_url, read_chunks
from keras_cct.weights.pretrained import OFFLINE_VARIABLE

MAX_DOWNLOAD_BYTES = 2**33
PARTIAL_CONTENT, PRECONDITION_FAILED, REQUESTED_RANGE_NOT_SATISFIABLE = 206, 412, 416

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns the download cache: models/keras_cct in the folder named by KERAS_HOME, by default ~/.keras."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models", "keras_cct")


def cached_path(url: str) -> Path:
    """Returns where the download cache keeps a file, whether or not it is there."""
    return cache_folder() / _cache_path(url)


def download(url: str, folder: Path, sha256: str | None = None) -> Path:
    """Returns the cached copy of a file, downloading it if necessary.

    Without a published hash, the SHA-256 of the first download is recorded next to the file. A cached copy with another
    hash is downloaded again; a download with another hash is an error. Processes that request the same file wait for
    each other. If KERAS_CCT_OFFLINE is 1, only cached copies are used.

    Args:
        url: URL of the file.
        folder: Cache folder.
        sha256: Published SHA-256 of the file, if known. It takes precedence over a recorded one.

    Raises:
        InputError: The file cannot be downloaded or written, is a web page, or has another hash than expected.
    """
    target = folder / _cache_path(url)
    try:
        cached = _cached_copy(url, target, sha256)
        if cached is not None:
            return cached
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f"{target.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log.info("waiting for another process that downloads %s", url)
            lock.acquire()
        try:
            # Another process may have downloaded it in the meantime.
            return _cached_copy(url, target, sha256) or _download(url, target, sha256)
        finally:
            lock.release()
    except InputError:
        raise
    except urllib.error.URLError as error:
        raise InputError(f"cannot download {url}: {error.reason}. Download it to {str(target)!r} yourself.") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ValueError) as error:
        raise InputError(f"cannot download {url}: {error}. Download it to {str(target)!r} yourself.") from error
    except OSError as error:
        raise InputError(
            f"cannot write {url} to {str(folder)!r}: {error}. Set KERAS_HOME to another folder."
        ) from error


def _cached_copy(url: str, target: Path, sha256: str | None) -> Path | None:
    """Returns the file if it is in the cache and has the expected hash, or None if it must be downloaded."""
    record = _record_of(target)
    if target.is_file():
        expected = sha256 or _recorded_hash(record)
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
    return None


def _download(url: str, target: Path, sha256: str | None) -> Path:
    """Downloads a file to the cache and returns its path. The caller holds the lock of the file."""
    record = _record_of(target)
    partial = target.with_name(f"{target.name}.part")
    found = _fetch(url, partial)
    expected = sha256 or _recorded_hash(record)
    if expected not in (None, found):
        _discard(partial)
        advice = (
            "Try again, or report this to keras_cct." if sha256 else f"To accept the new file, delete {str(record)!r}."
        )
        raise InputError(f"{url} has changed: expected SHA-256 {expected}, got {found}. {advice}")
    partial.replace(target)
    _discard(partial)
    _write_record(record, found)
    return target


def _cache_path(url: str) -> Path:
    """Returns host and path of a URL, so that equally named files of different origin do not collide."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url!r} is not a valid URL: {error}. Check it.") from error
    names = [parts.netloc.replace(":", "_"), *parts.path.split("/")[1:]]
    if not all(names) or {".", ".."} & set(names) or "\0" in parts.path:
        raise InputError(f"{url!r} is not the URL of a file. Check it.")
    return Path(*names)


def _fetch(url: str, partial: Path) -> str:
    """Downloads a file, resuming an interrupted download of the same version, and returns its SHA-256."""
    validator = _read_validator(partial)
    start = partial.stat().st_size if partial.is_file() and validator is not None else 0
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start and validator is not None else {}
    try:
        with open_url(url, headers) as response:
            return _receive(url, response, partial, start)
    except urllib.error.HTTPError as error:
        if error.code not in (REQUESTED_RANGE_NOT_SATISFIABLE, PRECONDITION_FAILED) or not start:
            raise
    # The partial file is at least as long as the whole file, so it cannot be the beginning of it.
    _discard(partial)
    return _fetch(url, partial)


def _receive(url: str, response: http.client.HTTPResponse, partial: Path, start: int) -> str:
    """Writes a response to the partial file, appended if the server continues at `start`, and returns its SHA-256."""
    if response.headers.get_content_type() == "text/html":
        raise InputError(f"{url} is a web page, not a weights file. Check the URL.")
    size = _total_size(url, response, start)
    digest = hashlib.sha256()
    if response.status == PARTIAL_CONTENT:
        with partial.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    else:
        start = 0
        _discard(partial)
        _write_validator(partial, response)
    reason, received = None, start
    # Shown on terminals only.
    progress = tqdm.tqdm(total=size, initial=start, unit="B", unit_scale=True, disable=None, leave=False)
    with progress, partial.open("ab" if start else "wb") as file:
        try:
            for chunk in read_chunks(response):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                progress.update(len(chunk))
                if received > MAX_DOWNLOAD_BYTES:
                    raise InputError(f"{url} has more than {MAX_DOWNLOAD_BYTES:,} bytes. Check the URL.")
        except DownloadError as error:
            reason = error
    if received != size and (size is not None or reason is not None):
        total = "an unknown number of" if size is None else size
        because = f" because {reason}" if reason is not None else ""
        raise InputError(
            f"the download of {url} was interrupted after {received} of {total} bytes{because}. "
            f"Run the command again to resume it."
        )
    if not received:
        _discard(partial)
        raise InputError(f"{url} is empty. Check the URL.")
    return digest.hexdigest()


def _total_size(url: str, response: http.client.HTTPResponse, start: int) -> int | None:
    """Returns the size of the whole file in bytes, or None for a chunked response, whose end is marked.

    Raises:
        InputError: The server sends no length, another part than requested, or too much.
    """
    length = response.headers.get("Content-Length")
    if length is None or not re.fullmatch(r"[0-9]{1,18}", length):
        if response.headers.get("Transfer-Encoding", "").lower() != "chunked" or length is not None:
            raise InputError(
                f"the server of {url} does not say how long the file is, so a part could not be told from the whole. "
                f"Download it yourself."
            )
        size = None
    else:
        size = int(length)
    if response.status == PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", response.headers.get("Content-Range", ""))
        first, last, size = map(int, match.groups()) if match else (-1, -1, 0)
        is_rest = first == start and last == size - 1 and length in (None, str(size - start))
        if not start or not is_rest:
            raise InputError(
                f"the server of {url} sent {response.headers.get('Content-Range')!r} when asked for the bytes from "
                f"{start} on. Try again."
            )
    if size is not None and size > MAX_DOWNLOAD_BYTES:
        raise InputError(f"{url} has {size:,} bytes, more than {MAX_DOWNLOAD_BYTES:,}. Check the URL.")
    return size


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _recorded_hash(record: Path) -> str | None:
    """Returns the hash recorded at the first download, or None without a valid record."""
    if not record.is_file():
        return None
    text = record.read_bytes()[:100].decode("ascii", "replace").strip()
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None


def _write_record(record: Path, sha256: str) -> None:
    if _recorded_hash(record) is None:
        with replacing(record) as temporary:
            temporary.write_text(f"{sha256}\n")


def _validator_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _read_validator(partial: Path) -> str | None:
    """Returns what identifies the version of the file that a partial download began with, or None."""
    try:
        validator = json.loads(_validator_file(partial).read_bytes()[:10_000])
    except (OSError, ValueError, RecursionError):
        return None
    return validator if isinstance(validator, str) and validator.isprintable() and validator.isascii() else None


def _write_validator(partial: Path, response: http.client.HTTPResponse) -> None:
    """Records the strong ETag of a response, or else its Last-Modified. Without, a download cannot be resumed."""
    tag = response.headers.get("ETag", "")
    validator = response.headers.get("Last-Modified") if not tag or tag.startswith("W/") else tag
    if validator and response.headers.get("Accept-Ranges", "").lower() != "none":
        with replacing(_validator_file(partial)) as temporary:
            temporary.write_text(json.dumps(validator))


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)
