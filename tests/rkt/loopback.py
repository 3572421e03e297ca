"""A web server on the loopback interface that answers as each test says, truthfully or not."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias


class Handler(BaseHTTPRequestHandler):
    """One request; `server.answers` says what comes of it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send(404, b"not here")
        else:
            answer(self)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A well-formed answer; ``Cache_Control`` becomes ``Cache-Control``, and an empty length means none."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if named.setdefault("Content-Length", str(len(body))) == "":
            del named["Content-Length"]
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang(self) -> None:
        """Send nothing more until the server is stopped."""
        self.wfile.flush()
        self.server.stopping.wait(10)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


Answer: TypeAlias = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """What answers, and what it was asked."""

    daemon_threads = True

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = dict(answers)
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each request."""
        self.stopping = threading.Event()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # the other side gave up, which many tests want


@contextmanager
def serving(answers: Mapping[str, Answer], context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for the length of a ``with`` block."""
    server = Server(answers)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.005))
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def file(body: bytes, **headers: str) -> Answer:
    """A file that is there."""
    return lambda handler: handler.send(200, body, **headers)


def redirect(to: str, status: int = 302) -> Answer:
    return lambda handler: handler.send(status, Location=to)
