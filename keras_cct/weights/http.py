"""HTTP requests for untrusted servers: only http(s), with a deadline and a minimum rate."""

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

STALL_SECONDS = 30
"""Longest time without any byte."""
RESPONSE_SECONDS = 60
"""Longest time until the headers of the response are complete, redirects included."""
TOTAL_SECONDS = 12 * 3600
MIN_BYTES_PER_SECOND = 1000
RATE_SECONDS = 60
"""Period over which the minimum rate is an average."""
MAX_REDIRECTS = 5
CHUNK_BYTES = 1 << 20


class DownloadError(Exception):
    """A transfer was interrupted and can be resumed."""


@contextlib.contextmanager
def open_url(url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    """Yields the response to a GET request, as soon as its headers are complete.

    Args:
        url: An http or https URL. Redirects to other schemes are refused.
        headers: Additional request headers.

    Raises:
        urllib.error.URLError: The URL is neither http nor https, or the server cannot be reached, returns an error, or
            takes too long.
    """
    connections: list[http.client.HTTPConnection] = []
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _HTTPHandler(connections),
        _HTTPSHandler(connections),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _RedirectHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    is_late = threading.Event()
    watchdog = threading.Timer(RESPONSE_SECONDS, _close_all, [connections, is_late])
    watchdog.daemon = True
    watchdog.start()
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=STALL_SECONDS)
    except (http.client.HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        for connection in connections:
            connection.close()
        if is_late.is_set():
            raise urllib.error.URLError(f"the server did not respond within {RESPONSE_SECONDS} seconds") from error
        raise
    finally:
        watchdog.cancel()
    with response:
        yield response


def read_chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yields the content of a response as it arrives.

    Raises:
        DownloadError: The connection broke, stalled, or was too slow.
    """
    start = period_start = time.monotonic()
    num_bytes = 0
    while True:
        try:
            # Unlike `read`, this returns what has arrived instead of waiting for the whole chunk.
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError("the connection was lost") from error
        if not chunk:
            return
        yield chunk
        now = time.monotonic()
        num_bytes += len(chunk)
        if now - period_start >= RATE_SECONDS:
            if num_bytes < MIN_BYTES_PER_SECOND * (now - period_start):
                raise DownloadError(f"the server sent fewer than {MIN_BYTES_PER_SECOND} bytes per second")
            period_start, num_bytes = now, 0
        if now - start > TOTAL_SECONDS:
            raise DownloadError(f"it took longer than {TOTAL_SECONDS} seconds")


def _close_all(connections: list[http.client.HTTPConnection], is_late: threading.Event) -> None:
    is_late.set()
    for connection in connections:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)


class _HTTPHandler(urllib.request.HTTPHandler):
    """Opens http URLs and records the connections."""

    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)  # pyright: ignore[reportArgumentType] # typed as a class

    def _connect(self, host: str, **options: Any) -> http.client.HTTPConnection:
        self._connections.append(http.client.HTTPConnection(host, **options))
        return self._connections[-1]


class _HTTPSHandler(urllib.request.HTTPSHandler):
    """Opens https URLs and records the connections."""

    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)  # pyright: ignore[reportArgumentType] # typed as a class

    def _connect(self, host: str, **options: Any) -> http.client.HTTPConnection:
        self._connections.append(http.client.HTTPSConnection(host, **options))
        return self._connections[-1]


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follows few redirects, and only to http and https."""

    max_redirections = MAX_REDIRECTS

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> http.client.HTTPResponse | None:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:  # a Location that is not a URL
            raise urllib.error.HTTPError(req.full_url, code, str(error), headers, fp) from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            message = f"the server redirects to {newurl!r}, which is not an http or https URL"
            raise urllib.error.HTTPError(req.full_url, code, message, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
