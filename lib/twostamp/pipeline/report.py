"""HTML report of a run on one page: every item of the thesis, our figure or value next to its own, by chapter."""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from twostamp.pipeline.ledger import STATUSES, Ledger
from twostamp.pipeline.manifest import list_stale
from twostamp.thesis import read_catalogue
from twostamp.utils.files import write_file

CHAPTERS = {
    "1": ("Introduction", "Introducción"),
    "2": ("Background and literature", "Marco teórico y revisión de la literatura"),
    "3": ("Data", "Conjunto de datos"),
    "4": ("Two-stamp classifiers", "Two Stamp Classifier"),
    "5": ("Method and experiments", "Metodología y experimentos"),
    "6": ("Results", "Resultados"),
    "7": ("Conclusions", "Conclusiones"),
    "A": ("ALeRCE's taxonomy", "Taxonomía de ALeRCE"),
    "B": ("Cutting and balancing subclasses", "Algoritmo de corte y balanceo de sub-etiquetas"),
    "C": ("The other metadata", "Análisis del resto de los metadatos"),
}
"""Chapters and annexes of the thesis, in English and in its own words."""

KINDS = ("figure", "table", "algorithm", "number")
REPORT = "report.html"
OUTDATED = "of an earlier state: its notebook has not run since its inputs changed"
BEHIND = re.compile(r"_(mean|std|values|median|p99)$|^times$")
"""Columns of a CSV with the values behind each "±": too many for a page."""


class ReportError(ValueError):
    """A run without what a report needs; the message is one sentence."""


@dataclass(frozen=True)
class Table:
    """Cells of a table as text; ``numeric`` tells for each column whether it holds numbers."""

    columns: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    left_out: list[str]


@dataclass(frozen=True)
class Item:
    """One row of the ledger, or an item that is not in the thesis, with the content of its files."""

    kind: str
    id: str
    title: str
    status: str = ""
    notebook: str = ""
    thesis: str = ""
    ours: str = ""
    note: str = ""
    files: tuple[str, ...] = ()
    caption: str = ""
    mark: str = ""
    image: str = ""
    width: int = 0
    height: int = 0
    table: Table | None = None

    @property
    def anchor(self) -> str:
        """Return the anchor of the item on the page."""
        return f"{self.kind}-{re.sub(r'[^A-Za-z0-9]+', '-', self.id)}"

    @property
    def shown(self) -> bool:
        """Return whether the item has a figure or table."""
        return bool(self.image or self.table)


@dataclass
class Chapter:
    """Items of a chapter, and the numbers in its text."""

    id: str
    title: str
    items: list[Item] = field(default_factory=list)
    numbers: list[Item] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the heading: ``Chapter 6``, ``Annex C``."""
        return f"{'Chapter' if self.id.isdigit() else 'Annex'} {self.id}"


def collect_chapters(root: Path) -> list[Chapter]:
    """Read the ledger of a run and the files that it names.

    Parameters
    ----------
    root : Path
        ``outputs/<run>``.

    Returns
    -------
    list of Chapter
        In the thesis's order; chapters without an item are left out.

    Raises
    ------
    ReportError
        There is no ledger, or a file that it names is missing.
    """
    if not (root / "ledger.csv").exists():
        raise ReportError(f"{root} has no ledger.csv: run `twostamp run {root.name}` first")
    rows = pd.read_csv(root / "ledger.csv", dtype=str, keep_default_na=False)
    spanish = bool(rows["title"].isin(set(read_catalogue()["title_es"])).mean() > 0.5)
    chapters = {key: Chapter(key, titles[spanish]) for key, titles in CHAPTERS.items()}
    if set(rows["status"]) - set(STATUSES):
        raise ReportError(f"{root / 'ledger.csv'} has statuses unknown to this version: write it again")
    stale, _ = list_stale(root)
    for row in Ledger(root / "ledger.csv", "es" if spanish else "en").read().to_dict("records"):
        if row["notebook"] in stale and row["status"] != "missing":
            row["note"] = "; ".join(filter(None, (OUTDATED, row["note"])))
        files = tuple(name for name in row["files"].split(";") if name)
        item = _read_files(root, Item(**{str(name): value for name, value in row.items()} | {"files": files}))
        chapter = chapters[item.id.partition(".")[0]]
        (chapter.numbers if item.kind == "number" else chapter.items).append(item)
    return [chapter for chapter in chapters.values() if chapter.items or chapter.numbers]


def _collect_extras(root: Path) -> list[Item]:
    """Read the figures and tables of a run that are not in the thesis, without those of an earlier state."""
    _, stale = list_stale(root)
    paths = (path for folder in ("figures", "tables") for path in (root / folder).glob("extra_*"))
    stems = sorted({path.stem for path in paths if path.relative_to(root).as_posix() not in stale})
    extras = []
    for stem in stems:
        title = stem.removeprefix("extra_").replace("_", " ")
        for kind, ending in (("figure", "png"), ("table", "csv")):
            name = f"{kind}s/{stem}.{ending}"
            if (root / name).exists():
                item = Item(kind, stem.removeprefix("extra_"), title[0].upper() + title[1:], files=(name,))
                extras.append(_read_files(root, item))
    return extras


def _read_files(root: Path, item: Item) -> Item:
    """Add the image or table, the caption, and a table's data mark to an item."""
    content: dict[str, object] = {}
    for name in item.files:
        path = root / name
        if not path.exists():
            raise ReportError(f"{path} is in the ledger and not on disk: run notebook {item.notebook} again")
        if path.suffix == ".png":
            data = path.read_bytes()
            content["image"] = base64.b64encode(data).decode()
            content["width"], content["height"] = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        elif path.suffix == ".csv":
            content["table"], content["mark"] = read_table(path, marked=item.status not in ("code", "third-party"))
    if content:
        content["caption"] = _read_caption(root / item.files[0])
    return Item(**{**vars(item), **content})  # type: ignore[arg-type]


def read_table(path: Path, marked: bool = True) -> tuple[Table, str]:
    """Read a CSV table for the page.

    Parameters
    ----------
    path : Path
    marked : bool
        Whether its column ``data``, if there is one, is the mark of `twostamp.pipeline.run.Run.save_table`.

    Returns
    -------
    Table
        Table without the values behind each "±" and the column of the data mark; long numbers are rounded.
    str
        Data mark, for example ``simulated survey``.
    """
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    mark = str(cells.pop("data").iloc[0]) if marked and "data" in cells and len(cells) else ""
    behind = [str(name) for name in cells if BEHIND.search(str(name))]
    shown = cells.drop(columns=behind) if len(behind) < len(cells.columns) else cells
    numeric = [
        all(re.fullmatch(r"|[-+]?[\d.]+(e[-+]?\d+)?( ± [\d.]+)?", cell) for cell in shown[name]) for name in shown
    ]
    rows = [[_round_number(cell) for cell in row] for row in shown.to_numpy().tolist()]
    return Table([str(name) for name in shown], rows, numeric, behind), mark


def _round_number(cell: str) -> str:
    """Shorten a number to four significant digits; leave other text unchanged.

    Examples
    --------
    >>> [_round_number(cell) for cell in ("9.292950000144629", "264469", "0.938 ± 0.003", "2.0", "ZTF18a")]
    ['9.293', '264469', '0.938 ± 0.003', '2.0', 'ZTF18a']
    """
    return f"{float(cell):.4g}" if re.fullmatch(r"-?\d+\.\d{4,}(e[-+]?\d+)?", cell) else cell


def _read_caption(path: Path) -> str:
    """Read the caption of a figure or table from the text file next to it, or from its LaTeX."""
    if (text := path.with_suffix(".txt")).exists():
        return text.read_text().strip()
    latex = path.with_suffix(".tex")
    found = re.search(r"\\caption\{(.*)\}", latex.read_text()) if latex.exists() else None
    return found[1] if found else ""


def count_statuses(chapters: list[Chapter]) -> dict[str, dict[str, int]]:
    """Count the items of each kind by status, in fixed orders, without statuses that do not occur."""
    items = [item for chapter in chapters for item in (*chapter.items, *chapter.numbers)]
    occurring = [status for status in STATUSES if any(item.status == status for item in items)]
    return {
        kind: {status: sum(item.kind == kind and item.status == status for item in items) for status in occurring}
        for kind in KINDS
    }


def write_report(root: Path) -> Path:
    """Write the report of a run: one page without scripts, other files or network access.

    Parameters
    ----------
    root : Path
        ``outputs/<run>``.

    Returns
    -------
    Path
        ``report.html`` in that folder. The same run always gives the same bytes.

    Raises
    ------
    ReportError
        As for `collect_chapters`.
    """
    chapters, extras = collect_chapters(root), _collect_extras(root)
    items = [item for chapter in chapters for item in chapter.items] + extras
    environment = Environment(
        loader=PackageLoader("twostamp.pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        run=root.name,
        chapters=chapters,
        extras=extras,
        counts=count_statuses(chapters),
        marks=sorted({item.mark.partition(";")[0] for item in items} - {""}),  # the alerts' mark alone
    )
    path = root / REPORT
    write_file(path, page)
    return path
