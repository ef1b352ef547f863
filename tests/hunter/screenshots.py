"""Screenshots of the hunter in JupyterLab, light and dark, at 1280 and 1920 pixels: to look at.

``python -m tests.hunter.screenshots FOLDER``, after ``make reproduce`` and ``make tonight``.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests import NOTEBOOKS
from tests.browser import Browser
from tests.hunter.test_browser import NAME, ROOT
from tests.jupyter_lab import DARK, LIGHT, JupyterLab, Notebook
from twostamp.utils import outputs_root

SCREENS = {1280: 1024, 1920: 1080}
STATES = {"seen": "", "judged": "sjnub1b", "help": "?"}


def main(folder: Path) -> None:
    """Open notebook 17, press some keys, and save what is seen in every state."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in (LIGHT, DARK):
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(NOTEBOOKS / NAME, scratch)
            lab = JupyterLab(Path(scratch), theme, {"TWOSTAMP_OUTPUTS": str(outputs_root()), "USER": "screenshots"})
            for width, height in SCREENS.items():
                browser = Browser(Path(scratch) / f"profile_{width}")
                page = Notebook(browser, lab, NAME, width, height)
                page.run_all(f"{ROOT}?.dataset.row")
                browser.evaluate(f"{ROOT}.closest('.jp-OutputArea').scrollIntoView()")
                browser.evaluate(f"{ROOT}.focus({{ preventScroll: true }})")
                for state, keys in STATES.items():
                    for key in keys:
                        page.press(key)
                        page.wait(f"{ROOT}.dataset.row")
                    browser.screenshot(folder / f"{theme.split()[-1].lower()}_{width}_{state}.png", 0, height)
                browser.close()
            lab.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
