"""Ledger: status of every figure, table, algorithm and printed number of the thesis."""

from pathlib import Path

import pandas as pd

from twostamp.thesis import read_catalogue
from twostamp.utils.files import write_file

COLUMNS = ["id", "kind", "title", "notebook", "files", "status", "thesis", "ours", "note"]
STATUSES = ("real", "simulated", "code", "third-party", "missing")


def _select(rows: pd.DataFrame, kind: str, item: str, title: str) -> "pd.Series[bool]":
    mask = (rows["kind"] == kind) & (rows["id"] == item)
    return mask & (rows["title"] == title) if title else mask


class Ledger:
    """The file ``ledger.csv`` of a run; a new one names the notebook that will make each item.

    Parameters
    ----------
    path : Path
        The file; created if missing.
    language : {"en", "es"}
        Language of the titles: ``es`` has the thesis's own. Methods take the English titles in either case.
    """

    def __init__(self, path: Path, language: str = "en") -> None:
        self.path = path
        self._catalogue = read_catalogue().copy()
        titles = self._catalogue["title" if language == "en" else "title_es"]
        # An earlier run may have been written in the other language.
        self._titles = {
            name: title for names in ("title", "title_es") for name, title in zip(self._catalogue[names], titles)
        }
        self._catalogue["title"] = titles

    def read(self) -> pd.DataFrame:
        """Read all rows in the thesis's order; columns as in `COLUMNS`, all as text."""
        blank = self._catalogue.assign(files="", ours="")
        third_party = blank["source"] == "third-party"
        blank["status"] = third_party.map({True: "third-party", False: "missing"})
        waiting = "notebook " + blank["notebook"] + " has not run"
        blank["note"] = blank["note"].where(third_party, waiting)
        blank = blank[COLUMNS]
        if not self.path.exists():
            return blank
        stored = pd.read_csv(self.path, dtype=str, keep_default_na=False)
        stored["title"] = stored["title"].map(self._titles).fillna(stored["title"])
        done = stored[~stored["note"].str.endswith(" has not run")]
        keys = ["id", "kind", "title"]
        known = pd.MultiIndex.from_frame(done[keys])
        kept = blank[~pd.MultiIndex.from_frame(blank[keys]).isin(known)]
        order = {tuple(row): i for i, row in enumerate(blank[keys].itertuples(index=False, name=None))}
        rows = pd.concat([kept, done])
        position = [order.get(tuple(row), len(order)) for row in rows[keys].itertuples(index=False, name=None)]
        return rows.assign(_p=position).sort_values(["_p", "id", "title"]).drop(columns="_p").reset_index(drop=True)

    def record(
        self,
        kind: str,
        item: str,
        *,
        title: str = "",
        status: str,
        files: str = "",
        ours: str = "",
        note: str = "",
    ) -> None:
        """Write one row; the item must be in the catalogue.

        Parameters
        ----------
        kind, item, title : str
            Identify the row; the title only for numbers, which share a section's id.
        status : str
            One of `STATUSES`.
        files, ours, note : str
            Files relative to the run's folder, separated by ``;``; our value; a remark, which precedes the catalogue's
            own.

        Raises
        ------
        KeyError
            If the catalogue has no such item.
        """
        if status not in STATUSES:
            raise ValueError(f"status {status!r} is none of {', '.join(STATUSES)}")
        rows, title = self.read(), self._titles.get(title, title)
        note = "; ".join(filter(None, (note, str(self._find(kind, item, title)["note"]))))
        rows.loc[_select(rows, kind, item, title), ["status", "files", "ours", "note"]] = [status, files, ours, note]
        write_file(self.path, rows.to_csv(index=False))

    def source_of(self, kind: str, item: str, title: str = "") -> str:
        """Return the source of an item's content: ``data``, ``code`` or ``third-party``; arguments as for `record`."""
        return str(self._find(kind, item, title)["source"])

    def title_of(self, kind: str, item: str) -> str:
        """Return the title of a figure, table or algorithm in the ledger's language."""
        return str(self._find(kind, item, "")["title"])

    def _find(self, kind: str, item: str, title: str) -> pd.Series:
        rows = self._catalogue[_select(self._catalogue, kind, item, self._titles.get(title, title))]
        if len(rows) != 1:
            known = self._catalogue.loc[_select(self._catalogue, kind, item, ""), "title"].tolist()
            raise KeyError(f"the thesis's catalogue has no {kind} {item} {title!r}; it has {known}")
        return rows.iloc[0]
