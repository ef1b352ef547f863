"""Notebook 17 in JupyterLab in a browser: thirty candidates by keys alone, and nothing asked of any other machine."""

import base64
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests import NOTEBOOKS
from tests.browser import SECONDS, Browser
from tests.hunter.night import FakeNight, write_night
from tests.jupyter_lab import JupyterLab, Notebook
from twostamp.data.features import PACKET_FIELDS
from twostamp.hunter import Hunter, VerdictStore
from twostamp.hunter.display import stretch
from twostamp.hunter.panel import Panel
from twostamp.hunter.verdicts import find_standing
from twostamp.params import Parameters
from twostamp.stream import Night

NAME = "17_supernova_hunter.ipynb"
ROOT = "document.querySelector('.ts-hunter')"
PIXELS = f"""btoa(Array.from({ROOT}.querySelectorAll('canvas')).map((canvas) => {{
  const {{ data }} = canvas.getContext('2d').getImageData(0, 0, 63, 63);
  return Array.from({{ length: 63 * 63 }}, (_, i) => String.fromCharCode(data[4 * i + 3] ? data[4 * i] : 255)).join('');
}}).join(''))"""
KEYS = {"s": ("SN", ""), "n": ("not SN", ""), "u": ("unsure", ""), "b2": ("bogus", "cosmic ray"), "b\r": ("bogus", "")}


def make_outputs(folder: Path) -> Path:
    """A run with a scored night and a training set of four."""
    run = folder / "quick"
    write_night(FakeNight(30), run / "tonight" / "tonight.sqlite")
    rows = [dict.fromkeys(PACKET_FIELDS, float(value)) | {"isdiffpos": "t", "fid": 1} for value in range(18, 22)]
    alerts = [pd.DataFrame(rows).add_suffix(f"_{alert}") for alert in (1, 2)]
    (run / "data").mkdir()
    pd.concat(alerts, axis=1).assign(objectId=list("abcd")).to_parquet(run / "data" / "pairs.parquet")
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[JupyterLab]:
    (tmp_path / "lab").mkdir()
    shutil.copy(NOTEBOOKS / NAME, tmp_path / "lab")
    environment = {"TWOSTAMP_OUTPUTS": str(make_outputs(tmp_path / "outputs")), "USER": "ana", "LOGNAME": "ana"}
    lab = JupyterLab(tmp_path / "lab", environment=environment)
    yield lab
    lab.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def read_pixels(browser: Browser) -> np.ndarray:
    """What the six canvases show, from the bottom row up; 255 where nothing is."""
    shown = np.frombuffer(base64.b64decode(browser.evaluate(PIXELS)), np.uint8)
    return shown.reshape(2, 3, 63, 63)[:, :, ::-1]


PAGE = """(async () => {{
  const {{ default: page }} = await import('data:text/javascript;base64,{source}');
  globalThis.said = [];
  globalThis.model = {{ on: (_, take) => {{ globalThis.take = take; }}, send: (message) => said.push(message) }};
  page.render({{ model, el: document.body }});
}})()"""


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.slow
def test_what_is_unseen_is_not_judged_and_a_held_key_only_moves(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: Panel, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        texts = json.dumps([encode(data) for data in buffers])
        read = f"{texts}.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)))"
        browser.evaluate(f"take({json.dumps(content)}, {read})")

    def press(*keys: str, held: bool = False) -> list[str]:
        """Press keys, and return what the page asks of the kernel beside details."""
        for key in keys:
            event = json.dumps({"key": key, "repeat": held, "bubbles": True})
            browser.evaluate(f"{ROOT}.dispatchEvent(new KeyboardEvent('keydown', {event})); null")
        return browser.evaluate("said.splice(0).map((message) => message.do).filter((what) => what !== 'want')")

    monkeypatch.setattr(Panel, "send", send)
    panel = Panel(Hunter(FakeNight(4), tmp_path / "verdicts.sqlite", person="ana"))
    browser.evaluate(PAGE.format(source=encode(str(Panel._esm).encode())))
    panel._receive(None, {"do": "hello"}, [])
    assert press() == ["hello"]
    assert press("s", "b", "1") == []
    panel._receive(None, {"do": "want", "rows": [0, 1]}, [])
    assert press("s", "n", "b", "1", "Enter", "z", held=True) == []
    assert press("s", "b", "1", "s", "u") == ["verdict", "verdict"]  # two are painted, and the third is not
    assert press("z") == ["undo"]
    assert press("j", "k", held=True) == ["go", "go"]
    assert browser.errors == []


@pytest.mark.slow
def test_a_night_is_hunted_by_keys_alone(lab: JupyterLab, browser: Browser, tmp_path: Path) -> None:
    quick = tmp_path / "outputs" / "quick"
    repeats, seed = (Parameters.model_fields[name].default for name in ("hunter_repeats", "seed"))
    night = Night(quick / "tonight" / "tonight.sqlite")
    ours = Hunter(night, tmp_path / "ours.sqlite", person="ana", repeats=repeats, seed=seed)
    rows, repeated = ours.rows

    page = Notebook(browser, lab, NAME)
    page.run_all(f"{ROOT}?.dataset.row")
    cells = browser.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
    browser.evaluate(f"{ROOT}.focus()")
    expected = []
    for place, (keys, said) in zip(range(30), cycle(KEYS.items())):
        row = int(rows[place])
        page.wait(f"{ROOT}.dataset.row === '{row}'")
        assert (read_pixels(browser) == stretch(ours.images(row), "zscale")).all()
        for key in keys:
            page.press("Enter" if key == "\r" else key)
        expected.append((ours.candidates["object_id"].iloc[row], *said, repeated[place]))

    page.press("z")
    page.wait(f"{ROOT}.dataset.row === '{rows[29]}'")
    for key in ("c", *"a host", "Enter", "k", "j"):
        page.press(key)
    store, end = VerdictStore(quick / "hunter" / "verdicts.sqlite"), time.monotonic() + SECONDS
    while len(store.events()) < 32 and time.monotonic() < end:  # the page is ahead of the kernel
        time.sleep(0.1)
    page.wait(f"{ROOT}.querySelector('.ts-progress').textContent.startsWith('{29 - sum(repeated[:29])} of 30')")
    assert browser.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == cells  # b and c meant no cell

    events = store.events()
    given = [(row.object_id, row.verdict, row.kind, row.repeated) for row in events.itertuples()]
    assert given[:30] == expected
    assert events["verdict"].tolist()[30:] == ["undo", "comment"]
    assert events["comment"].iloc[-1] == "a host"
    assert (events["seconds"].iloc[:30] > 0).all()
    assert (events["person"] == "ana").all()

    page.restart()
    page.run_all(f"{ROOT}?.dataset.row === '{rows[0]}'")
    marks = browser.evaluate(f"Array.from({ROOT}.querySelectorAll('.ts-row')).map((row) => row.innerText)")
    standing = find_standing(events).set_index("object_id")["verdict"]
    assert len(marks) > 10
    for text, row in zip(marks, rows):
        verdict = standing.get(ours.candidates["object_id"].iloc[row], "")
        assert {"not SN": "not", "unsure": "?"}.get(verdict, verdict) in text
    assert browser.errors == []
    elsewhere = [url for url in browser.requests if not url.startswith(("data:", "blob:"))]
    assert {url.split("/")[2] for url in elsewhere} == {f"127.0.0.1:{lab.port}"}
