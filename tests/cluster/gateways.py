"""What stands before a Prometheus: a gate that wants a token, takes its time, or shows a page.

A small proxy of this machine. What it does can be changed while it serves.
"""

import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass
class Gateway:
    """A context manager: it serves under `url` until the end of the context."""

    behind: str
    token: str = ""
    """Whoever does not bring it is refused, if there is one."""
    seconds: float = 0.0
    """How long it takes to answer."""
    page: str = ""
    """Shown instead of any answer, if there is one."""
    asked: int = 0
    """How often it was asked."""
    _server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body, content = gateway._answer(
                    self.path,
                    self.rfile.read(int(self.headers["Content-Length"])),
                    self.headers.get("Authorization", ""),
                )
                self.send_response(status)
                self.send_header("Content-Type", content)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, body: bytes, authorization: str) -> tuple[int, bytes, str]:
        self.asked += 1
        time.sleep(self.seconds)
        if self.token and authorization != f"Bearer {self.token}":
            return 401, b"Unauthorized\n", "text/plain"
        if self.page:
            return 200, self.page.encode(), "text/html"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(f"{self.behind}{path}", body, form)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read(), "application/json"
        except urllib.error.HTTPError as error:
            return error.code, error.read(), "application/json"
        except OSError:
            return 502, b"Bad Gateway\n", "text/plain"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked may have gone meanwhile."""
