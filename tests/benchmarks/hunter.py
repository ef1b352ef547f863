"""From a key to what is painted, in JupyterLab in a browser: a night of 10 000 candidates."""

import statistics
import tempfile
from pathlib import Path

import nbformat

from tests.benchmarks import inputs
from tests.benchmarks.measure import Row, bound
from tests.browser import Browser
from tests.jupyter_lab import JupyterLab, Notebook

CANDIDATES, LIMIT_MS, KEYS = inputs.sized(10_000, 100), 100.0, "jjjjkjsnujb1jjszk"
ROOT = "document.querySelector('.ts-hunter')"
CODE = f"""
from pathlib import Path
from tests.hunter.night import FakeNight
from twostamp.hunter import Hunter
Hunter(FakeNight({CANDIDATES}), Path("verdicts.sqlite")).show()
"""


def hunter() -> list[Row]:
    """Median and slowest of 51 keys: moves, verdicts and undo."""
    with tempfile.TemporaryDirectory() as scratch:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, Path(scratch) / "hunter.ipynb")
        lab = JupyterLab(Path(scratch))
        browser = Browser(Path(scratch) / "profile")
        try:
            page = Notebook(browser, lab, "hunter.ipynb", 1920, 1080)
            page.run_all(f"{ROOT}?.dataset.row", seconds=300)
            browser.evaluate(f"{ROOT}.focus()")
            milliseconds = [_press(page, key) for key in 3 * KEYS]
        finally:
            browser.close()
            lab.close()
    name = f"from key to paint, {CANDIDATES} candidates"
    return [
        bound(f"{name}, median", "ms", [statistics.median(milliseconds)], LIMIT_MS),
        bound(f"{name}, slowest of {len(milliseconds)}", "ms", [max(milliseconds)], LIMIT_MS),
    ]


def _press(page: Notebook, key: str) -> float:
    """Press a key and wait until what it leads to is painted; the page takes the time itself."""
    page.browser.evaluate(f"delete {ROOT}.dataset.paint; null")
    page.press(key)
    return float(page.wait(f"{ROOT}.dataset.paint"))
