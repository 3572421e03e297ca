"""A server before a registry that passes everything on, and stops amid the bytes of large things."""

import http.client
import http.server
import threading


class Stalling(http.server.ThreadingHTTPServer):
    """Stands before a registry, and stops amid the bytes of large things until it is closed."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.upstream = upstream
        self.most = 1 << 20
        """Bytes of one body that are passed on before it stops."""
        self.stalled = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        return None  # the engine is killed amid its requests


class _Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stalling

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self._some(length) if "Transfer-Encoding" not in self.headers else self._chunks()
        wire = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            wire.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # some of them several times
                if name.lower() not in ("transfer-encoding", "content-length"):
                    wire.putheader(name, value)
            if self.command in ("PUT", "PATCH", "POST"):
                wire.putheader("Content-Length", str(len(body)))
            wire.endheaders(body)
            answer = wire.getresponse()
            self._answer(answer.status, answer.getheaders(), b"" if self.command == "HEAD" else answer.read())
        finally:
            wire.close()

    do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = _pass  # noqa: N815 - the names that the library calls

    def _some(self, length: int) -> bytes:
        body = self.rfile.read(min(length, self.server.most))
        if length > self.server.most:
            self._stall()
        return body

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            if len(body) > self.server.most:
                self._stall()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.server.most])
        if len(body) > self.server.most:
            self.wfile.flush()
            self._stall()

    def _stall(self) -> None:
        self.server.stalled.set()
        self.server.ended.wait(60)
        raise ConnectionAbortedError

    def log_message(self, *_: object) -> None:
        return None
