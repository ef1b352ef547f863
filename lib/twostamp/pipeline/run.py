"""Run of a notebook: its parameters, its folders, and methods that save figures, tables and numbers."""

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure

from twostamp.data.tfrecords import Records
from twostamp.params import Parameters, make_parameters
from twostamp.pipeline.ledger import Ledger
from twostamp.plots.style import use_style
from twostamp.utils.files import replacing, write_file
from twostamp.utils.logs import show_log
from twostamp.utils.paths import outputs_root

MADE_BY = {
    "first_alerts.parquet": "01_data_extraction",
    "pairs.parquet": "01_data_extraction",
    "quarantine.parquet": "01_data_extraction",
    "survey": "01_data_extraction",
    "records": "03_dataset_preparation",
    "search": "04_model_search",
    "unlabelled_pairs.parquet": "07_unlabelled_sky",
    "predictions.parquet": "07_unlabelled_sky",
}
"""Notebook that makes each input of another."""

FROM_ALERTS = ("data", "networks")
SIMULATED_MARK = "simulated survey"
PARAMETERS = "parameters.yaml"
"""File in the run's folder with all its parameters."""

logger = logging.getLogger(__name__)


class MissingInputError(FileNotFoundError):
    """An input that an earlier notebook makes is missing."""


def _imported(name: str, value: object) -> bool:
    modules = [module for key, module in list(sys.modules.items()) if key.startswith("twostamp.")]
    return any(vars(module).get(name) is value for module in modules)


def _with_mark(caption: str, mark: str) -> str:
    return f"{caption} ({mark})" if mark else caption


class Run:
    """One run: a set of parameters, and its folder ``outputs/<run_name>``.

    Parameters
    ----------
    notebook : str
        Name of the notebook, without ending.
    params : Parameters
    root : Path, optional
        Folder of the run; by default below `twostamp.utils.paths.outputs_root`.
    """

    def __init__(self, notebook: str, params: Parameters, root: Path | None = None) -> None:
        self.notebook = notebook
        self.params = params
        self.root = root or outputs_root() / params.run_name
        self.data, self.models = self.root / "data", self.root / "models"
        self.figures, self.tables = self.root / "figures", self.root / "tables"
        for folder in (self.data, self.models, self.figures, self.tables):
            folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(self.root / "ledger.csv", params.language)

    @property
    def simulated(self) -> bool:
        """Return whether the alerts come from the simulated survey."""
        return self.params.simulated

    @property
    def mark(self) -> str:
        """Return the mark about the alerts on every figure and table made from them."""
        return self.params.mark or (SIMULATED_MARK if self.simulated else "")

    def require(self, name: str) -> Path:
        """Find an input below the run's folders.

        Parameters
        ----------
        name : str
            A key of `MADE_BY`.

        Returns
        -------
        Path

        Raises
        ------
        MissingInputError
            If it is missing; the message names the notebook that makes it.
        """
        path = (self.models if name == "search" else self.data) / name
        if not path.exists():
            raise MissingInputError(
                f"{path} is missing: run notebook {MADE_BY[name]} with the parameters of run "
                f"'{self.params.run_name}' first"
            )
        return path

    @property
    def records(self) -> Records:
        """Return the run's TFRecords, with its recipe to standardise metadata."""
        return Records(self.require("records"), self.params.metadata_recipe)

    def save_figure(self, figure: Figure, item: str, *, caption: str, ours: object = "", note: str = "") -> None:
        """Save a figure of the thesis as PNG and PDF with its caption, and record it in the ledger.

        Parameters
        ----------
        figure : Figure
        item : str
            Number in the thesis, for example ``6.3``.
        caption : str
            Caption, stored in a text file next to the figure.
        ours : object
            Our value next to the thesis's in the ledger, if the item has one.
        note : str
            Remark for the ledger.
        """
        source = self.ledger.source_of("figure", item)
        files = self._write_figure(figure, f"figure_{item}", self._entitle("figure", item, caption), source)
        self._record("figure", item, source, files=files, ours=str(ours), note=note)

    @property
    def width_note(self) -> str:
        """Return the note on networks with a share of the thesis's filters and neurons."""
        return "" if self.params.width == 1 else f"networks of {self.params.width:g} of the width"

    def save_extra_figure(self, figure: Figure, name: str, *, caption: str, note: str = "", source: str = "") -> None:
        """Save a figure that is not in the thesis; `note` is printed under it, after the mark of the alerts.

        Parameters
        ----------
        figure : Figure
        name, caption : str
        note : str
        source : {"data", "networks", "code"}, optional
            ``networks``, the default from notebook 04 on, adds `width_note`; ``code`` if no alert was used.
        """
        self._write_figure(figure, f"extra_{name}", caption, source or self._source, note)

    def save_table(self, table: pd.DataFrame, item: str, *, caption: str, ours: object = "", note: str = "") -> None:
        """Save a table (or the demonstration of algorithm B.1) as CSV and LaTeX, and record it in the ledger.

        Parameters
        ----------
        table : DataFrame
            Table, saved without its index. If it is made from alerts, the CSV gets a column ``data`` that names them.
        item, caption, ours, note
            As for `save_figure`.
        """
        kind = "algorithm" if item == "B.1" else "table"
        source = self.ledger.source_of(kind, item)
        files = self._write_table(table, f"{kind}_{item}", self._entitle(kind, item, caption), source)
        self._record(kind, item, source, files=files, ours=str(ours), note=note)

    def save_extra_table(
        self, table: pd.DataFrame, name: str, *, caption: str, note: str = "", source: str = ""
    ) -> None:
        """Save a table that is not in the thesis; arguments as for `save_extra_figure`."""
        self._write_table(table, f"extra_{name}", caption, source or self._source, note)

    def record_number(self, section: str, title: str, ours: object, *, note: str = "") -> None:
        """Record our value of a number that the thesis prints in its text.

        Parameters
        ----------
        section, title : str
            As in the catalogue ``thesis_items.csv``.
        ours : object
            Our value, as text.
        note : str
            Reason why it differs or cannot be compared.
        """
        source = self.ledger.source_of("number", section, title)
        self._record("number", section, source, title=title, ours=str(ours), note=note)

    def missing(self, item: str, reason: str, *, kind: str = "figure", title: str = "") -> None:
        """Record an item that this run cannot make, with the reason."""
        self.ledger.record(kind, item, title=title, status="missing", note=reason)

    def _entitle(self, kind: str, item: str, caption: str) -> str:
        """Put the thesis's own title before a caption, if the run has Spanish names."""
        return caption if self.params.language == "en" else f"{self.ledger.title_of(kind, item)}. {caption}"

    def _record(self, kind: str, item: str, source: str, note: str, **values: str) -> None:
        """Record an item in the ledger, with a note on its networks."""
        note = _list_notes(note, self.width_note if source == "networks" else "")
        self.ledger.record(kind, item, status=self._status(source), note=note, **values)

    def _status(self, source: str) -> str:
        return ("simulated" if self.simulated else "real") if source in FROM_ALERTS else source

    def _write_figure(self, figure: Figure, stem: str, caption: str, source: str, note: str = "") -> str:
        mark = self._join(source, note)
        if mark:
            figure.text(0.995, -0.012, mark, ha="right", va="top", fontsize=7, style="italic", color="#444444")
        for ending, metadata in (("png", {"Software": None}), ("pdf", {"Creator": None, "Producer": None})):
            if ending == "pdf":
                metadata["CreationDate"] = None
            with replacing(self.figures / f"{stem}.{ending}") as part:
                figure.savefig(part, metadata=metadata)
        write_file(self.figures / f"{stem}.txt", _with_mark(caption, mark) + "\n")
        return f"figures/{stem}.png;figures/{stem}.pdf"

    @property
    def _source(self) -> str:
        """Return the source of extra figures and tables: trained networks from notebook 04 on."""
        return "networks" if self.notebook >= "04" else "data"

    def _join(self, source: str, note: str) -> str:
        width_note = self.width_note if source == "networks" else ""
        return _list_notes(self.mark if source in FROM_ALERTS else "", width_note, note)

    def _write_table(self, table: pd.DataFrame, stem: str, caption: str, source: str, note: str = "") -> str:
        mark = self._join(source, note)
        marked = table.assign(data=mark) if mark else table
        write_file(self.tables / f"{stem}.csv", marked.to_csv(index=False))
        latex = table.to_latex(index=False, escape=True, caption=_with_mark(caption, mark), label=f"tab:{stem}")
        write_file(self.tables / f"{stem}.tex", latex)
        return f"tables/{stem}.csv;tables/{stem}.tex"


def _list_notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def open_run(notebook: str, namespace: dict[str, Any]) -> Run:
    """Open the run of a notebook from the variables of its parameters cell.

    Parameters missing in the cell come from the run's ``parameters.yaml``, which `run_notebooks` writes, or else from
    ``params/quick.yaml``.

    Parameters
    ----------
    notebook : str
        Name of the notebook, without ending.
    namespace : dict
        The notebook's ``globals()``.

    Returns
    -------
    Run

    Raises
    ------
    ParameterError
        If a variable is not a parameter, or its value is impossible. Names are checked the first time only: later cells
        have their own variables.
    """
    show_log()
    with contextlib.suppress(OSError):  # messages of frameworks and workers go to the kernel's log, not below cells
        os.dup2(sys.stderr.fileno(), 2)
    values = _read_variables(namespace)
    if namespace.get("_run_opened"):
        values = {name: value for name, value in values.items() if name in Parameters.model_fields}
    recorded = outputs_root() / str(values.get("run_name", Parameters().run_name)) / PARAMETERS
    others = yaml.safe_load(recorded.read_text()) if recorded.exists() else {}
    params = make_parameters(others | values, f"notebook {notebook}")
    namespace["_run_opened"] = True
    use_style()
    run = Run(notebook, params)
    alerts = SIMULATED_MARK if run.simulated else params.archive
    logger.info("run '%s' on %s; writes \"%s\" below %s/", params.run_name, alerts, run.root.name, run.root.parent.name)
    return run


def _read_variables(namespace: dict[str, Any]) -> dict[str, Any]:
    """Find the plain values set in a notebook's cells."""
    plain = (bool, int, float, str, list, dict, type(None))
    return {
        name: value
        for name, value in namespace.items()
        if type(value) in plain
        and not name.startswith("_")
        and name not in ("In", "Out")
        and not _imported(name, value)
    }


def record_numbers(run: Run, numbers: Sequence[tuple[str, str, object]], reason: str, *, note: str = "") -> None:
    """Record several printed numbers in the ledger, with a note; a value None is missing for `reason`."""
    for section, title, value in numbers:
        if value is None:
            run.missing(section, reason, kind="number", title=title)
        else:
            run.record_number(section, title, value, note=note)
