"""A web server for tests, on a free port of this machine, that fails as it is told to."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("timeout", "reset", "429", "500", "503", "truncated", "corrupt", "page")


class Server(ThreadingHTTPServer):
    """Serves ``answer(path_with_query, headers) -> (status, headers, body)``.

    ``slow`` are seconds before each answer. ``faults[path]`` is a list of what goes wrong with the next requests for it
    (names of `FAULTS`, or stall: no more than half of the answer comes); ``log`` has every request's path, ``injected``
    every fault. An answer that does not come is one for which the client waits until it gives up or dies.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable, slow: float = 0.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.slow = answer, slow
        self.faults = defaultdict(list)
        self.log, self.headers, self.injected = [], [], []
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # clients that give up are part of the tests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.lock:
            server.log.append(self.path)
            server.headers.append(dict(self.headers))
            fault = server.faults[self.path].pop(0) if server.faults[self.path] else ""
            if fault:
                server.injected.append(fault)
        time.sleep(server.slow)
        status, headers, body = server.answer(self.path, self.headers)
        self.close_connection = True
        if fault == "timeout":
            self.connection.recv(1)
            return
        if fault == "reset":
            return
        if fault.isdigit():
            status, headers, body = int(fault), {"Retry-After": "0"} if fault == "429" else {}, b"<html>busy</html>"
        elif fault == "corrupt":
            body = body[: len(body) // 2] + bytes(len(body) - len(body) // 2)
        elif fault == "page":
            body = b"<html>maintenance</html>"
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        body = body[: len(body) // 2] if fault in ("truncated", "stall") else body
        if self.command == "HEAD":
            return
        self.wfile.write(body)
        if fault == "stall":
            self.connection.recv(1)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def serve(answer: Callable, **options):
    """Run a `Server` in a thread of its own."""
    server = Server(answer, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
