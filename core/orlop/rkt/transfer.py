"""Asking a server for a file, within bounds: of redirects, of time, of bytes.

Nothing here trusts the server. It may answer slowly, without end, with other lengths than
it says, or lead elsewhere; whatever it does ends in an answer or in `FetchFailed`. A user
and a password in a URL are sent to that server only, and are in no message.
"""

import base64
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urljoin

from orlop import __version__
from orlop.errors import FetchFailed
from orlop.rkt.compression import LIMITS

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool
    from urllib3.util import Url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_CHUNK = 1 << 18
_TRY_AGAIN = "try again later, or fetch it by other means and `orlop import` the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much patience a server gets; times in seconds, all of it can be set."""

    redirects: int = 10
    """As many as rkt follows."""
    connect: float = 15
    idle: float = 30
    """Between two pieces of an answer."""
    answer: float = 60
    """From the request until the headers are there."""
    total: float = 4 * 3600
    """For everything."""
    size: int = LIMITS.size
    """Bytes that are sent, compressed or not."""


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was looked at."""

    url: str
    """Without user and password."""
    scheme: str
    host: str
    """An IPv6 address with its brackets."""
    port: int
    path: str
    """With the query, as it is sent."""
    login: str = field(default="", repr=False)
    """``user:password``; empty for none."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Look at a URL.

        Raises:
            FetchFailed: it is none of http or https.
        """
        from urllib3.exceptions import LocationParseError
        from urllib3.util import parse_url

        try:
            found: Url = parse_url(url)
        except (LocationParseError, UnicodeError, ValueError) as error:
            raise FetchFailed("this is no URL", do="give one that begins with https:// or http://") from error
        if found.scheme not in _PORTS or not found.host or not url.isprintable() or " " in url:
            raise FetchFailed(
                "this URL cannot be fetched",
                why="only http and https URLs with a host are",
                do="fetch it by other means, and `orlop import` the file",
            )
        plain = found._replace(auth=None, fragment=None)
        return cls(
            url=plain.url,
            scheme=found.scheme,
            host=found.host,
            port=found.port or _PORTS[found.scheme],
            path=plain.request_uri,
            login=unquote(found.auth or ""),
        )

    @property
    def shown(self) -> str:
        """For people: without its query too, which may be a signed permission."""
        before, query, _ = self.url.partition("?")
        return before + ("?…" if query else "")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Which server it is."""
        return self.scheme, self.host, self.port

    def failed(self, what: str, why: str, do: str = _TRY_AGAIN) -> FetchFailed:
        """An error about this URL."""
        return FetchFailed(what, path=self.shown, why=why, do=do)


class Answer:
    """What a server answered: status and headers, and the body to be read once."""

    def __init__(self, target: Target, response: "BaseHTTPResponse", watch: "_Watch", bounds: Bounds) -> None:
        self.target = target
        """Where it came from, after all redirects."""
        self.status = response.status
        self._response = response
        self._watch = watch
        self._bounds = bounds
        self._done = 0
        length = response.headers.get("Content-Length", "")
        self.length = int(length) if length.isdecimal() and len(length) < 20 else None
        """Bytes of the body, as the server says; None where it does not."""

    def header(self, name: str) -> str:
        """The value of a header, several joined by commas; empty where there is none."""
        return self._response.headers.get(name, "") or ""

    @property
    def done(self) -> int:
        """Bytes of the body that were read."""
        return self._done

    def read(self, size: int) -> bytes:
        """Some more of the body, as it is sent; empty at its end.

        Raises:
            FetchFailed: it breaks off, is too slow, or too much.
        """
        with _telling(self.target, self._watch):
            data = self._response.read1(min(size, _CHUNK))
        if not data:
            self._watch.check(self.target)
            if self.length is not None and self._done < self.length:
                raise self.target.failed(
                    "the server broke off", f"{self._done} bytes came, where it said {self.length}"
                )
            return b""
        self._done += len(data)
        if self._done > self._bounds.size:
            raise self.target.failed(
                "the server sends too much", f"more than {self._bounds.size} bytes, and no more are taken"
            )
        return data

    def unexpected(self) -> FetchFailed:
        """The error for a status that is of no use."""
        try:
            words = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            words = str(self.status)
        do = (
            "make sure that you may read it: a user and a password can be in the URL"
            if self.status
            in (
                401,
                403,
                407,
            )
            else _TRY_AGAIN
        )
        return self.target.failed("the server refuses", f"it answered {words}", do)


class Session:
    """Requests that belong together, with one limit of time over all of them."""

    def __init__(self, bounds: Bounds = BOUNDS, context: ssl.SSLContext | None = None) -> None:
        self._bounds = bounds
        self._context = context
        self._watch = _Watch(bounds.total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.end()

    @contextlib.contextmanager
    def get(self, target: Target, headers: Mapping[str, str], login: Target | None = None) -> Iterator[Answer]:
        """Ask for a URL, and follow where the server leads.

        Args:
            target: what is asked for.
            headers: that are sent along.
            login: the target whose user and password its own server gets.

        Raises:
            FetchFailed: no server is there, it does not answer, or leads on without end.
        """
        owner = target if login is None else login
        here = target
        for _ in range(self._bounds.redirects + 1):
            with self._ask(here, headers, owner.login if here.origin == owner.origin else "") as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                here = _next(here, answer.header("Location"))
        raise target.failed("the server leads on without end", f"more than {self._bounds.redirects} redirects")

    @contextlib.contextmanager
    def _ask(self, target: Target, headers: Mapping[str, str], login: str) -> Iterator[Answer]:
        sent = {"User-Agent": f"orlop/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        if login:
            sent["Authorization"] = "Basic " + base64.b64encode(login.encode("utf-8", "surrogateescape")).decode()
        watch = _Watch(self._bounds.answer)
        pool = _pool(target, self._bounds, self._context, (watch, self._watch))
        try:
            with _telling(target, watch, self._watch):
                response = pool.urlopen(
                    "GET",
                    target.path,
                    headers=sent,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                )
            try:
                watch.end()
                watch.check(target)  # cut off in the headers, they look as if that were their end
                yield Answer(target, response, self._watch, self._bounds)
            finally:
                response.close()
        finally:
            watch.end()
            pool.close()


def _next(here: Target, location: str) -> Target:
    if not location:
        raise here.failed("the server leads nowhere", "it redirects without saying where to")
    try:
        target = Target.of(urljoin(here.url, location))
    except FetchFailed as error:
        raise here.failed(
            "the server leads to what is no http or https URL", "the redirect was not followed"
        ) from error
    if (here.scheme, target.scheme) == ("https", "http"):
        raise here.failed("the server leads away from https", "a redirect to http was not followed")
    return target


# --- time --------------------------------------------------------------------


class _Watch:
    """Ends every connection that was given to it when a time is over, wherever it waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False
        self._ended = False
        self._timer = threading.Timer(seconds, self._end_connections)
        self._timer.daemon = True
        self._timer.start()

    def add(self, connection: socket.socket) -> None:
        """Watch over a connection."""
        with self._lock:
            if not self._ended:
                self._sockets.append(connection.dup())

    def _end_connections(self) -> None:
        with self._lock:
            self._over = not self._ended
            for one in self._sockets:
                with contextlib.suppress(OSError):  # the other side was quicker
                    one.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        with self._lock:
            self._ended = True
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def check(self, target: Target) -> None:
        """Make sure that there is time left.

        Raises:
            FetchFailed: there is not.
        """
        if self._over:
            raise target.failed("the server is too slow", f"it took more than {self._seconds:g} seconds")


@contextlib.contextmanager
def _telling(target: Target, *watches: _Watch) -> Iterator[None]:
    """The errors that a network has, in words."""
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        NameResolutionError,
        NewConnectionError,
        ReadTimeoutError,
        SSLError,
    )

    try:
        yield
    except (HTTPError, http.client.HTTPException, OSError, UnicodeError, ValueError) as error:
        for watch in watches:
            watch.check(target)
        match error:
            case ReadTimeoutError() | TimeoutError():
                raise target.failed("the server is too slow", "it sent nothing for too long") from error
            case NameResolutionError():
                raise target.failed(
                    "the server cannot be found", f"no address is known for {target.host}", "look at the URL"
                ) from error
            case NewConnectionError() | ConnectTimeoutError() | ConnectionRefusedError():
                raise target.failed("the server cannot be reached", _cause(error)) from error
            case SSLError() | ssl.SSLError():
                raise target.failed(
                    "the server cannot prove who it is",
                    _cause(error),
                    "look at the URL, and at the host's certificates",
                ) from error
            case _:
                raise target.failed("the server broke off, or sent no answer", _cause(error)) from error


def _cause(error: BaseException) -> str:
    """The words of the innermost error, which do not hold the URL."""
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner)[:200] or type(inner).__name__


# --- connections ---------------------------------------------------------------


def _pool(
    target: Target, bounds: Bounds, context: ssl.SSLContext | None, watches: tuple[_Watch, ...]
) -> "HTTPConnectionPool":
    """Connections to one server, each watched from its first byte on."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
    from urllib3.connection import HTTPConnection, HTTPSConnection

    timeout = Timeout(connect=bounds.connect, read=bounds.idle)
    if target.scheme == "http":

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _watched(super()._new_conn(), watches)

        pool = HTTPConnectionPool(target.host, target.port, timeout=timeout, maxsize=1)
        pool.ConnectionCls = Plain
        return pool

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _watched(super()._new_conn(), watches)

    secure = HTTPSConnectionPool(target.host, target.port, timeout=timeout, maxsize=1, ssl_context=context)
    secure.ConnectionCls = Secure
    return secure


def _watched(connection: socket.socket, watches: tuple[_Watch, ...]) -> socket.socket:
    for watch in watches:
        watch.add(connection)
    return connection
