"""Widget of a hunter in JupyterLab: ipywidgets controls, and one anywidget for list, stamps and keys.

The page sends requests (``do``) and the kernel replies (``type``) in messages; pixels are sent as bytes. The page
caches candidates and requests the next ones ahead, so that a key needs no reply before it shows one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import pandas as pd

from twostamp.data.features import ALL_FEATURES
from twostamp.hunter.candidates import ORDERS, HunterError, list_candids
from twostamp.hunter.display import STRETCHES, stretch
from twostamp.hunter.hunter import Hunter
from twostamp.hunter.verdicts import KINDS, VERDICTS, VerdictError
from twostamp.plots.style import FILTER_COLOURS, class_colour

_FOLDER = Path(__file__).parent
_LISTED = (
    *("object_id", "n_alerts", "rank", "p", "p_first", "change", "age", "mag", "band", "rise"),
    *("near_star", "solar_system_match", "seen_before"),
)


class Panel(anywidget.AnyWidget):
    """Panel with list, stamps, light curve, metadata and verdicts of a hunter."""

    _esm = _FOLDER / "panel.js"
    _css = _FOLDER / "panel.css"

    def __init__(self, hunter: Hunter) -> None:
        super().__init__()
        self.hunter = hunter
        self._judged: dict[int, list[str]] = {}
        self._page_knows_place = False
        self.on_msg(self._receive)
        hunter.watch(self._pass_on)

    def _receive(self, _: Any, content: dict[str, Any], __: Any) -> None:
        """Fulfil a request of the page, or send an error message of one sentence."""
        try:
            getattr(self, f"_do_{content.pop('do')}")(**content)
        except (HunterError, VerdictError, OSError) as error:
            self.send({"type": "error", "text": str(error)})

    def _pass_on(self, what: str) -> None:
        getattr(self, f"_send_{what}")()

    def _do_hello(self) -> None:
        """A page opened: send everything."""
        colours = {name: class_colour(name) for name in self.hunter.night.classes}
        words = {"verdicts": VERDICTS, "kinds": KINDS, "target": self.hunter.target, "colours": colours}
        mark = "simulated survey" if self.hunter.night.simulated else ""
        self.send({"type": "setup", "mark": mark, "bands": FILTER_COLOURS, **words})
        self._judged = {}
        self._send_judged()
        self._send_shown()
        self._send_place()

    def _do_go(self, place: int) -> None:
        with self._page_is_there():
            self.hunter.go(place)

    @contextmanager
    def _page_is_there(self) -> Iterator[None]:
        """Record the page's position without sending it back: the page may be further by now."""
        self._page_knows_place = True
        try:
            yield
        finally:
            self._page_knows_place = False

    def _look_at(self, place: int, row: int) -> None:
        shown = self.hunter.rows[0]
        if not 0 <= place < len(shown) or shown[place] != row:
            raise HunterError("the list has changed meanwhile: nothing was recorded")
        self._do_go(place)

    def _do_want(self, rows: list[int]) -> None:
        for row in rows:
            self._send_detail(row)

    def _do_verdict(self, place: int, row: int, verdict: str, kind: str = "", seconds: float = 0.0) -> None:
        self._look_at(place, row)
        self.hunter.verdict(verdict, kind=kind, seconds=seconds, move=False)
        self._do_go(place + 1)

    def _do_comment(self, place: int, row: int, text: str) -> None:
        self._look_at(place, row)
        self.hunter.comment(text)

    def _do_undo(self, known: bool = False) -> None:
        with self._page_is_there() if known else nullcontext():
            undone = self.hunter.undo()
        self.send({"type": "undone"} if undone else {"type": "error", "text": "there is nothing to undo"})

    def _send_shown(self) -> None:
        hidden = {name: [None] * len(self.hunter.candidates) for name in _LISTED if self.hunter.is_hidden(name)}
        columns = self.hunter.candidates[[name for name in _LISTED if name not in hidden]]
        values = json.loads(columns.astype({"object_id": str}).round(3).to_json(orient="split"))["data"]
        rows = dict(zip(columns, map(list, zip(*values)))) | hidden
        content = {"type": "shown", "rows": rows, "stretch": self.hunter.stretch, "blind": self.hunter.is_blind}
        self.send(content | {"progress": self.hunter.progress()}, [self.hunter.rows[0].tobytes()])

    def _send_place(self) -> None:
        if not self._page_knows_place:
            self.send({"type": "place", "place": self.hunter.place})

    def _send_judged(self) -> None:
        """Send the verdicts that changed since the last message."""
        standing = self.hunter.judged()
        rows = self.hunter.find_rows(standing["object_id"])
        said = zip(standing["verdict"], standing["kind"])
        now = {row: list(words) for row, words in zip(rows, said) if row >= 0}
        changed: dict[int, list[str] | None] = {row: said for row, said in now.items() if self._judged.get(row) != said}
        changed |= dict.fromkeys(self._judged.keys() - now.keys())
        self._judged = now
        self.send({"type": "judged", "judged": changed, "progress": self.hunter.progress()})

    def _send_detail(self, row: int) -> None:
        hunter, candidate = self.hunter, self.hunter.candidates.iloc[row]
        curve = hunter.light_curve(row)
        start = float(candidate["jd"])
        content = {
            "type": "detail",
            "row": row,
            "stretch": hunter.stretch,
            "blind": hunter.is_blind,
            "object_id": candidate["object_id"],
            "candids": [str(candid) for candid in list_candids(candidate)],  # too long for a number in JavaScript
            "curve": _clean(curve.assign(day=curve["jd"] - start).drop(columns=["jd", "programid"]).to_dict("list")),
            "alerts": [float(jd) - start for jd in (candidate["jd_1"], candidate["jd"])][: candidate["n_alerts"]],
            "features": self._features(row),
            "answer": self._answer(candidate),
            "links": make_links(str(candidate["object_id"]), candidate["ra"], candidate["dec"]),
            "rise": _clean(candidate["rise"]),
        }
        self.send(content, [stretch(hunter.images(row), hunter.stretch).tobytes()])

    def _features(self, row: int) -> list[list[Any]]:
        values, percentiles = self.hunter.features(row)
        columns = (*values, *percentiles)
        return [[name, *(_clean(float(column[i])) for column in columns)] for i, name in enumerate(ALL_FEATURES)]

    def _answer(self, candidate: "pd.Series[Any]") -> dict[str, Any] | None:
        if self.hunter.is_blind:
            return None
        p = {name: round(float(candidate[f"p_{name}"]), 3) for name in self.hunter.night.classes}
        return {"p": p, "conformal": None if pd.isna(candidate["conformal"]) else str(candidate["conformal"])}


def make_panel(hunter: Hunter) -> ipywidgets.VBox:
    """Put the controls above the panel: query, order, stretch and blind mode."""
    panel = Panel(hunter)
    wide = ipywidgets.Layout(flex="1 1 24em", min_width="16em")
    small = ipywidgets.Layout(width="auto", flex="0 0 auto")
    query = ipywidgets.Text(
        description="filter", placeholder="p_SN > 0.6 and n_alerts == 2", continuous_update=False, layout=wide
    )
    columns = [name for name in hunter.candidates if name not in ORDERS]
    order = ipywidgets.Dropdown(description="order", options=[*ORDERS, *columns], layout=small)
    stretches = ipywidgets.Dropdown(description="stretch", options=STRETCHES, value=hunter.stretch, layout=small)
    blind = ipywidgets.Checkbox(description="blind", value=hunter.is_blind, indent=False, layout=small)
    said = ipywidgets.Label(layout=ipywidgets.Layout(display="none"))

    def apply(action: Any) -> Any:
        def on_change(change: dict[str, Any]) -> None:
            said.value = ""
            try:
                action(change["new"])
            except HunterError as error:
                said.value = str(error)
            said.layout.display = "flex" if said.value else "none"

        return on_change

    def choose_stretch(how: str) -> None:
        hunter.stretch = how
        hunter.arrange()

    actions = {query: hunter.filter, order: hunter.order, stretches: choose_stretch, blind: hunter.blind}
    for control, action in actions.items():
        control.observe(apply(action), "value")
    row = ipywidgets.HBox([query, order, stretches, blind], layout=ipywidgets.Layout(flex_flow="row wrap"))
    return ipywidgets.VBox([row, said, panel])


def make_links(object_id: str, ra: float, dec: float) -> list[list[str]]:
    """Make links to catalogues and brokers for an object or its position; nothing here opens them.

    Examples
    --------
    >>> make_links("ZTF18abcdefg", 10.5, -2.25)[3]
    ['SIMBAD', 'https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=10.500000%20-2.250000&Radius=10&Radius.unit=arcsec']
    """
    place = f"{ra:.6f}", f"{dec:.6f}"
    return [
        ["ALeRCE", f"https://alerce.online/object/{object_id}"],
        ["Fink", f"https://fink-portal.org/{object_id}"],
        ["TNS", "https://www.wis-tns.org/search?ra={}&decl={}&radius=10&coords_unit=arcsec".format(*place)],
        [
            "SIMBAD",
            "https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={}%20{}&Radius=10&Radius.unit=arcsec".format(*place),
        ],
        [
            "NED",
            "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
            "&coordinates={}d%20{}d&radius=0.2".format(*place),
        ],
    ]


def _clean(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by None."""
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
