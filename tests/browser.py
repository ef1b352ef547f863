"""A headless Chromium for tests of pages, spoken to in its own protocol: only the browser has to be installed."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import websocket

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
NEEDED = "TWOSTAMP_REQUIRE_CHROMIUM"
SECONDS = 300  # of patience: only what hangs takes them


def find_chromium() -> str:
    """Path of Chromium; without one the test is skipped, or fails where $TWOSTAMP_REQUIRE_CHROMIUM is set."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not found and os.environ.get(NEEDED):
        pytest.fail(f"no Chromium is installed, and {NEEDED} says that there must be one")
    if not found:
        pytest.skip("no Chromium is installed (Debian: chromium), which the report is looked at with")
    return found


class Browser:
    """One page of a Chromium of its own; ``errors`` and ``requests`` gather what it says while it loads.

    Parameters
    ----------
    profile : Path
        New and empty folder.
    """

    def __init__(self, profile: Path) -> None:
        command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False
        self.last = 0
        self.socket = websocket.create_connection(self._find_page(profile), suppress_origin=True, timeout=SECONDS)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _find_page(self, profile: Path) -> str:
        port, deadline = profile / "DevToolsActivePort", time.monotonic() + SECONDS
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            if port.exists() and port.read_text().count("\n"):
                with direct.open(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list") as answer:
                    pages = [page for page in json.load(answer) if page["type"] == "page"]
                if pages:  # it listens before it has one
                    return str(pages[0]["webSocketDebuggerUrl"])
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"Chromium did not start (exit code {self.process.poll()})")
            time.sleep(0.05)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result, gathering the events that come before it."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": params}))
        while (message := json.loads(self.socket.recv())).get("id") != self.last:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def _note(self, event: dict[str, Any]) -> None:
        name, params = event.get("method"), event.get("params", {})
        if name == "Page.loadEventFired":
            self.loaded = True
        elif name == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif name == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif name == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif name == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(str(params["args"]))
        elif name == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    def open(self, page: Path | str, width: int, height: int) -> None:
        """Load a file, or an address, at the size of a screen, and wait until its images are decoded."""
        self.errors, self.requests, self.loaded = [], [], False
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not self.loaded:
            self._note(json.loads(self.socket.recv()))
        self.evaluate("Promise.allSettled([...document.images].map(image => image.decode()))")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, path: Path, top: int = 0, height: int = 1000) -> None:
        """Save a part of the page, which may lie outside the screen."""
        width = self.evaluate("innerWidth")
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        image = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))

    def close(self) -> None:
        """End this browser."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=SECONDS)
