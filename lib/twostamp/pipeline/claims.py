"""Claims of a run: tables and figures under version control, and the documentation page written from them."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from twostamp.evaluation.bootstrap import Estimate
from twostamp.pipeline.study import REFERENCE
from twostamp.utils.files import write_file
from twostamp.utils.paths import outputs_root

_TABLES = "extra_claims_*.csv"
_INTRODUCTION = """# Claims

Written by `twostamp claims` from `outputs/reference/claims`; a test fails when they differ. Differences are in points
(hundredths), shares in per cent, with 95 % intervals over what each section names; n is the number of objects.
Each claim stands alone, not corrected for their number. Fewer than five trainings never give a verdict. M0 sees one
alert, with 23 or 26 metadata; M1 is the stacked two-stamp classifier, M2 the separated one.
"""
_TITLES = {
    "05": "Networks against baselines on metadata (notebook 05)",
    "10": "What the thesis claims, on repeated splits (notebook 10)",
    "10b": "Where there is no difference (notebook 10, appendix): random numbers, n worlds",
    "12": "What the second alert adds (notebook 12)",
    "13": "Ageing (notebook 13)",
    "14": "Coordinates as a shortcut (notebook 14)",
    "15": "Every open choice (notebook 15)",
}
_INTERVALS = {
    "05": "objects and trainings",
    "10": "repeated splits (corrected t)",
    "10b": "worlds (Wilson)",
    "12": "objects and trainings; equivalence is judged on the 90 % interval",
    "13": "objects and trainings",
    "14": "objects and trainings for what coordinates are worth, over objects alone for the others",
    "15": "objects and specifications",
}
_SHARES = ("false differences", "share in which", "what |b| explains", "objects that change")
_FIGURES = {"12": "gains", "13": "ageing_years", "15": "specification_curve"}


def copy_claims(run: str) -> Path:
    """Copy a run's tables of claims, and a figure of some, to ``outputs/reference/claims``; return that folder.

    Raises
    ------
    ValueError
        If the run has no claims.
    """
    tables = sorted((outputs_root() / run / "tables").glob(_TABLES))
    figures = [outputs_root() / run / "figures" / f"extra_{name}.png" for name in _FIGURES.values()]
    if not tables:
        raise ValueError(f"{outputs_root() / run} has no claims to copy: run `twostamp extend {run}` first")
    folder = outputs_root() / REFERENCE / "claims"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (*tables, *filter(Path.exists, figures)):
        shutil.copyfile(path, folder / path.name)
    return folder


def render_claims(folder: Path, pages: Path) -> str:
    """Write the page of the claims in a folder, as Markdown, for the folder of pages."""
    parts = [_INTRODUCTION]
    for path in sorted(folder.glob(_TABLES)):
        table = pd.read_csv(path, keep_default_na=False)
        data = table["data"].iloc[0] if "data" in table and len(table) else ""
        number = path.stem.rpartition("_")[2]
        title, figure = _TITLES.get(number, path.stem), folder / f"extra_{_FIGURES.get(number)}.png"
        shared = [name for name in ("n", "trainings") if len(set(table[name])) == 1]
        told = [data, *(f"{name} {table[name].iloc[0]}" for name in shared if str(table[name].iloc[0]))]
        told += [f"95 % intervals over {_INTERVALS[number]}"] if number in _INTERVALS else []
        rows = pd.DataFrame([_render_row(row) for row in table.to_dict("records")]).drop(columns=shared)
        lines = ["|".join(("", *cells, "")) for cells in (rows.columns, ["---"] * rows.shape[1], *rows.to_numpy())]
        heading = [f"## {title}", "", f"{'; '.join(filter(None, told))}.", ""]
        if figure.exists():
            heading += [f"![{title}, {data}]({Path(os.path.relpath(figure, pages)).as_posix()})", ""]
        parts.append("\n".join([*heading, *lines, ""]))
    return "\n".join(parts)


def _render_row(row: Mapping[Any, Any]) -> dict[str, str]:
    found = ""
    if str(row["value"]):
        estimate = Estimate(*(float(row[name]) for name in ("value", "low", "high"))).points
        found = f"{estimate:.1f %}" if row["claim"].startswith(_SHARES) else f"{estimate:+.1f points}"
    cells = {"claim": row["claim"].replace("|", r"\|"), "value": found}
    return cells | {name: str(row[name]) for name in ("n", "trainings", "verdict")}


def write_claims(run: str, page: Path) -> Path:
    """Copy the claims of a run, write their page, and return it."""
    write_file(page, render_claims(copy_claims(run), page.parent))
    return page
