"""Hunter for a scored night: show candidates, record verdicts, and export the results."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostamp.data.feature_ranges import rank_in_training
from twostamp.data.features import compute_features
from twostamp.hunter import agreement, exports
from twostamp.hunter.candidates import (
    HunterError,
    ScoredNight,
    filter_candidates,
    list_candids,
    make_candidates,
    place_repeats,
    sort_candidates,
)
from twostamp.hunter.display import STRETCHES, read_images
from twostamp.hunter.light_curve import read_light_curve
from twostamp.hunter.tns import DryRun
from twostamp.hunter.verdicts import COMMENT, VerdictStore, find_standing
from twostamp.utils.typing import Floats, Floats32

SCORES = ("rank", "p", "p_first", "change", "entropy", "class", "ranking", "conformal")
"""Columns that blind mode hides, in addition to all probabilities."""
_HIDDEN_PREFIXES = ("p_", "night_")
_KEPT_OPEN = 64


class Hunter:
    """Candidates of a night in some order, the current one, and the verdicts on them.

    Parameters
    ----------
    night : ScoredNight
        Scored night, from `twostamp.stream.Night`.
    verdicts : Path
        File of the verdicts, created if missing. It holds verdicts of any night and person.
    person : str
        Name of the person; by default the user of the computer.
    target : str
        Wanted class.
    at_least : float
        Objects whose every prediction for `target` is lower are left out.
    training : DataFrame, optional
        Pairs of the model's training set, from `twostamp.data.read_metadata`; features are ranked among them.
    repeats : float
        Share of the candidates that is shown twice, to measure how often a person repeats her verdict.
    seed : int
        Seed of the repeats, and of the order of blind mode.

    Attributes
    ----------
    candidates : DataFrame
        All candidates, from `twostamp.hunter.candidates.make_candidates`.
    place : int
        Index of the current candidate in `shown`.
    """

    def __init__(
        self,
        night: ScoredNight,
        verdicts: Path,
        *,
        person: str = "",
        target: str = "SN",
        at_least: float = 0.0,
        training: pd.DataFrame | None = None,
        repeats: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.night, self.store, self.target = night, VerdictStore(verdicts, person), target
        self.candidates, self._features = make_candidates(night, target, at_least)
        self.place, self.stretch, self.is_blind = 0, STRETCHES[0], False
        self._query, self._order = "", "score"
        self._ascending: bool | None = None
        self._shown = np.zeros(0, np.int32)
        self._repeats, self._seed = repeats, seed
        self._training = None if training is None else [compute_features(training, alert) for alert in (1, 2)]
        self._row_of = {name: row for row, name in enumerate(self.candidates["object_id"])}
        self._watchers: list[Callable[[str], None]] = []
        self.open_packets = lru_cache(_KEPT_OPEN)(self._open_packets)
        self.arrange()

    # Display

    def filter(self, query: str = "") -> "Hunter":
        """Show the candidates that match a pandas query, for example ``p_SN > 0.6 and n_alerts == 2``, from the first
        one."""
        filter_candidates(self.candidates, query)
        self._query = query
        return self.arrange().go(0)

    def order(self, by: str = "score", *, ascending: bool | None = None) -> "Hunter":
        """Order by score, age, rise, informative, random or any column of `candidates`, and go to the first one."""
        sort_candidates(self.candidates, by)
        self._order, self._ascending = by, ascending
        return self.arrange().go(0)

    def blind(self, on: bool = True) -> "Hunter":
        """Hide the scores and their order; verdicts record that they were hidden."""
        self.is_blind = on
        return self.arrange()

    def select(self, object_id: str) -> "Hunter":
        """Go to one of the objects shown."""
        found = np.flatnonzero(self._shown == self._row_of.get(object_id, -1))
        if not len(found):
            raise HunterError(f"{object_id} is not among the {len(self._shown)} that are shown")
        return self.go(int(found[0]))

    def go(self, place: int) -> "Hunter":
        """Go to a place among the candidates shown; beyond them, to the first or last one."""
        self.place = max(0, min(place, len(self._shown) - 1))
        self._tell("place")
        return self

    @property
    def shown(self) -> pd.DataFrame:
        """Return the candidates in the order of display; ``repeated`` marks a second time."""
        return self.candidates.iloc[self._shown].assign(repeated=self._repeated)

    @property
    def current(self) -> pd.Series:
        """Return the current candidate."""
        if not len(self._shown):
            raise HunterError(f"no candidate is shown: the query is {self._query!r}")
        return self.candidates.iloc[self._shown[self.place]]

    @property
    def rows(self) -> tuple[Any, list[bool]]:
        """Return the rows of `candidates` in the order of display, and whether each is a repeat."""
        return self._shown, self._repeated

    # Verdicts

    def verdict(
        self, verdict: str, *, kind: str = "", comment: str = "", seconds: float = 0.0, move: bool = True
    ) -> str:
        """Record a verdict on the current candidate, go to the next one, and return the event's uuid.

        Parameters
        ----------
        verdict : {"SN", "bogus", "not SN", "unsure"}
        kind : str
            Kind of a bogus: dipole, cosmic ray, spike, bad column, hot pixel or cold pixel.
        comment : str
        seconds : float
            Time taken.
        move : bool
            Whether to go to the next one.
        """
        repeated = bool(len(self._shown)) and self._repeated[self.place]
        event = self._add(verdict, kind=kind, comment=comment, seconds=seconds, repeated=repeated)
        if move:
            self.go(self.place + 1)
        return event

    def comment(self, text: str) -> str:
        """Comment on the current candidate; return the event's uuid."""
        return self._add(COMMENT, comment=text)

    def undo(self) -> str:
        """Undo this person's last verdict or comment, by an event; return the object, empty if there is none."""
        undone = self.store.undo()
        if undone is None:
            return ""
        name = str(undone["object_id"])
        self._tell("judged")
        for place in np.flatnonzero(self._shown == self._row_of.get(name, -1)).tolist():
            if self._repeated[place] == undone["repeated"]:
                self.go(place)
        return name

    def merge(self, other: Path) -> int:
        """Add the missing events of another person's file, and return their number."""
        added = self.store.merge(Path(other))
        self._tell("judged")
        return added

    def judged(self) -> pd.DataFrame:
        """Return this person's valid verdicts on any night, without those on repeats."""
        standing = find_standing(self.store.events())
        return standing[standing["person"] == self.store.person]

    def progress(self) -> str:
        """Describe how many of the candidates shown have a verdict."""
        done = set(self.judged()["object_id"]) & set(self.shown["object_id"])
        mark = " · simulated survey" if self.night.simulated else ""
        return f"{len(done)} of {self.shown['object_id'].nunique()} judged by {self.store.person}{mark}"

    # Results

    def agreement(self) -> pd.DataFrame:
        """Measure the agreement of each pair of people, and of each person with herself, with Cohen's kappa."""
        return agreement.measure_agreement(self.store.events())

    def disagreements(self) -> pd.DataFrame:
        """List the objects with different verdicts."""
        return agreement.list_disagreements(self.store.events())

    def final(self) -> pd.DataFrame:
        """Make one row per object with a verdict; see `twostamp.hunter.agreement.make_final_list`."""
        return agreement.make_final_list(self.store.events())

    def export(self, what: str, path: Path | str, **options: Any) -> pd.DataFrame | DryRun:
        """Export the results.

        Parameters
        ----------
        what : {"csv", "tns", "labels"}
            All candidates with the verdicts; the TNS report of those with the verdict SN (nothing is sent); or verdicts
            with packets, as a training set.
        path : Path or str
            A .csv or .parquet file; a .json file; a folder.
        **options
            Options of `twostamp.hunter.exports.export_tns`: reporting_group, reporter, and optionally tns_csv and
            remarks.
        """
        final, path = self.final(), Path(path)
        if what == "csv":
            return exports.export_csv(self.candidates, final, path)
        if what == "labels":
            return exports.export_labels(self.night, self.candidates, final, path)
        if what != "tns":
            raise HunterError(f"there is no export {what!r}; there are csv, tns and labels")
        found = set(final.loc[final["verdict"] == "SN", "object_id"])
        wanted = self.candidates[self.candidates["object_id"].isin(found)]
        return exports.export_tns(self.night, wanted, path, **options)

    # One candidate

    def images(self, row: int) -> Floats32:
        """Read the stamps of a row of `candidates`; see `twostamp.hunter.display.read_images`."""
        return read_images(self.open_packets(row))

    def light_curve(self, row: int) -> pd.DataFrame:
        """Read the light curve of a row of `candidates`; see `twostamp.hunter.light_curve.read_light_curve`."""
        return read_light_curve(self.open_packets(row))

    def features(self, row: int) -> tuple[Floats, Floats]:
        """Return the features of both alerts of a row of `candidates`, and their percentiles in the training set.

        Returns
        -------
        values, percentiles : ndarray, shape (2, len(ALL_FEATURES))
            Values and percentiles; NaN without a second alert, a value or a training set.
        """
        values = self._features[row].astype(float)
        if self._training is None:
            return values, np.full(values.shape, np.nan)
        return values, np.array([rank_in_training(*pair) for pair in zip(values, self._training)])

    def show(self) -> Any:
        """Make the widget that JupyterLab displays (extra ``hunter``)."""
        from twostamp.hunter.panel import make_panel  # needs anywidget

        return make_panel(self)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call a function with ``shown``, ``place`` or ``judged`` whenever that changes."""
        self._watchers.append(watcher)

    def find_rows(self, object_ids: Iterable[str]) -> list[int]:
        """Find the rows of objects in `candidates`; -1 for a missing one."""
        return [self._row_of.get(name, -1) for name in object_ids]

    def is_hidden(self, column: str) -> bool:
        """Whether blind mode hides a column."""
        return self.is_blind and (column in SCORES or column.startswith(_HIDDEN_PREFIXES))

    def _add(self, verdict: str, **options: Any) -> str:
        row = self.current
        scores = {name: float(row[f"p_{name}"]) for name in self.night.classes}
        event = self.store.add(
            str(row["object_id"]),
            verdict,
            candids=list_candids(row),
            scores=None if self.is_blind else scores,
            model=str(row["model_version"]),
            simulated=self.night.simulated,
            **options,
        )
        self._tell("judged")
        return event

    def arrange(self) -> "Hunter":
        """Redo filter, order and repeats, and stay at the current candidate."""
        looked_at = self.current["object_id"] if len(self._shown) else ""
        kept = filter_candidates(self.candidates, self._query)
        by = "random" if self.is_blind and self._tells_score(self._order) else self._order
        order = sort_candidates(kept, by, self._seed, self._ascending).index.tolist()
        shown, self._repeated = place_repeats(order, self._repeats, self._seed)
        self._shown = np.array(shown, np.int32)
        self._tell("shown")
        again = np.flatnonzero(self._shown == self._row_of.get(looked_at, -1))
        return self.go(int(again[0]) if len(again) else 0)

    def _tells_score(self, order: str) -> bool:
        return order in ("score", "informative") or self.is_hidden(order)

    def _open_packets(self, row: int) -> list[dict[str, Any]]:
        return [self.night.alert(candid) for candid in list_candids(self.candidates.iloc[row])]

    def _tell(self, what: str) -> None:
        for watcher in self._watchers:
            watcher(what)
