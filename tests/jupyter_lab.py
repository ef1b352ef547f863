"""A JupyterLab on 127.0.0.1 for tests of widgets, and a notebook of it in the browser of `tests.browser`."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import REPOSITORY
from tests.browser import SECONDS, Browser
from tests.ports import find_port

IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}


class JupyterLab:
    """A server of its own settings and data; `close` ends it with its kernels.

    Parameters
    ----------
    folder : Path
        With the notebooks; a hidden folder in it holds the server's own files.
    theme : {LIGHT, DARK}
    environment : mapping, optional
        More variables for the kernels.
    """

    def __init__(self, folder: Path, theme: str = LIGHT, environment: Mapping[str, str] | None = None) -> None:
        own = folder / ".jupyter"
        for name, values in (SETTINGS | {"@jupyterlab/apputils-extension/themes": {"theme": theme}}).items():
            path = own / "settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        folders = {f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        folders |= {f"JUPYTERLAB_{name}_DIR": str(own / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
        folders |= {"IPYTHONDIR": str(own / "ipython"), "PYTHONPATH": f"{REPOSITORY / 'lib'}:{REPOSITORY}"}
        self.port = find_port()
        options = (
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
        )
        options += ("--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--notebook-dir={folder}")
        command = [sys.executable, "-m", "jupyterlab", *options]
        self.log = own / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | folders | dict(environment or {}), cwd=folder
            )
        self._wait()

    def _wait(self) -> None:
        deadline, direct = time.monotonic() + SECONDS, urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with direct.open(f"http://127.0.0.1:{self.port}/api/status", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise RuntimeError(f"JupyterLab did not start: {self.log.read_text()[-2000:]}") from None
                time.sleep(0.1)

    def close(self) -> None:
        """End the server, which ends its kernels."""
        self.process.terminate()
        self.process.wait(timeout=SECONDS)


class Notebook:
    """A notebook of a `JupyterLab` in a browser's page.

    Parameters
    ----------
    browser : Browser
    lab : JupyterLab
    name : str
        Relative to the server's folder.
    width, height : int
        Of the screen, pixels.
    """

    def __init__(self, browser: Browser, lab: JupyterLab, name: str, width: int = 1280, height: int = 900) -> None:
        self.browser = browser
        browser.call("Emulation.setFocusEmulationEnabled", enabled=True)  # else no notebook is the current one
        browser.open(f"http://127.0.0.1:{lab.port}/lab/tree/{name}?reset", width, height)
        self.wait(IDLE)

    def wait(self, condition: str, seconds: float = SECONDS) -> Any:
        """Wait until a JavaScript expression is truthy, and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.browser.evaluate(condition)):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {condition}\nerrors of the page: {self.browser.errors[-3:]}")
            time.sleep(0.02)
        return value

    def run_all(self, condition: str, seconds: float = SECONDS) -> None:
        """Run all cells to their end, and until a JavaScript expression is truthy."""
        running = "window.jupyterapp.commands.execute('notebook:run-all-cells')"
        self.browser.evaluate(f"window.ran = false; {running}.then(() => {{ window.ran = true; }}); null")
        self.wait("window.ran", seconds)
        self.wait(condition)

    def restart(self) -> None:
        """Restart the kernel and forget all outputs."""
        self.browser.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs').then(() => null)")
        self.browser.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.wait(IDLE)

    def press(self, key: str) -> None:
        """Press and release a key as a person does."""
        named = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38}
        code = {"windowsVirtualKeyCode": named.get(key) or ord(key.upper()), "key": key}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", text=text, **code)
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", **code)
