"""The notebooks of the site: executed where a run has them, with a thumbnail each."""

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
from PIL import Image, ImageDraw, ImageOps

REPOSITORY = Path(__file__).resolve().parents[1]
RUNS = ("simulated", "quick", "test")
"""Runs to take executed notebooks from, the best first."""
SIZE = (480, 300)
WIDGET = "application/vnd.jupyter.widget-view+json"
NOT_EXECUTED = (
    "This notebook is shown **without results**: no run on this machine has executed it. "
    "`twostamp {command} quick` does, and `make docs` then shows it with its figures and tables."
)
EXECUTED = "Executed with `params/{run}.yaml`. Its numbers are of a **simulated survey** unless real packets are named."
SMALLEST = (
    "Executed with `params/test.yaml`, the smallest run. It shows that the code works; **its numbers mean nothing**."
)


@dataclass(frozen=True)
class Page:
    """One notebook of the gallery; `run` is empty where none has executed it."""

    name: str
    title: str
    question: str
    run: str


def find_executed(name: str, outputs: Path, run: str = "") -> tuple[Path, str]:
    """Path of a notebook and the run that executed it; the repository's own and "" where none has."""
    places = [(outputs / candidate, candidate) for candidate in ((run,) if run else RUNS)]
    if not run:
        places.append((Path(os.environ.get("TWOSTAMP_TEST_OUTPUTS", REPOSITORY / ".test-outputs")) / "test", "test"))
    for folder, candidate in places:
        path = folder / "notebooks" / f"{name}.ipynb"
        if path.exists() and _is_whole(read(path)):
            return path, candidate
    return REPOSITORY / "notebooks" / f"{name}.ipynb", ""


def _is_whole(notebook: nbformat.NotebookNode) -> bool:
    about = notebook.metadata.get("papermill", {})
    return bool(about.get("end_time")) and not about.get("exception")


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def write_gallery(folder: Path, outputs: Path, run: str = "") -> list[Page]:
    """Write all notebooks, their thumbnails and `index.md` into a folder.

    Parameters
    ----------
    folder : Path
        New folder.
    outputs : Path
        Folder of all runs.
    run : str
        The run to take, or empty: each notebook from the first of `RUNS` that executed it.
    """
    if run and not (outputs / run / "notebooks").is_dir():
        raise SystemExit(f"{outputs / run} has no executed notebooks: twostamp run {run}")
    (folder / "thumbnails").mkdir(parents=True)
    pages = []
    for source in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        path, found = find_executed(source.stem, outputs, run)
        notebook = read(path)
        title, question = _describe(notebook)
        _write_thumbnail(source.stem, notebook, folder / "thumbnails")
        _clean(notebook, source.stem, found)
        nbformat.write(notebook, folder / source.name)
        pages.append(Page(source.stem, title, question, found))
    (folder / "index.md").write_text(_write_index(pages))
    return pages


def _describe(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Title of a notebook, and the first sentence of its question."""
    text = notebook.cells[0].source
    title = text.split("\n", 1)[0].lstrip("# ")
    question = text.partition("**Question.**")[2].replace("\n", " ").split("**In.**")[0]
    return title, question.partition("?")[0].strip() + "?"


def _clean(notebook: nbformat.NotebookNode, name: str, run: str) -> None:
    """Add where the results are from; leave out progress bars and what a browser would need widgets for."""
    command = "run" if name < "10" else "extend"
    note = SMALLEST if run == "test" else EXECUTED.format(run=run) if run else NOT_EXECUTED.format(command=command)
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(f":::{{note}}\n{note}\n:::"))
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]


def _write_thumbnail(name: str, notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Shrink the notebook's last figure, else one of the committed reference; a plain card where there is none."""
    figure = _own_figure(notebook) or _reference_figure(name)
    if figure:
        image = Image.open(io.BytesIO(figure)).convert("RGB")
    else:
        image = Image.new("RGB", SIZE, "white")
        number = name.partition("_")[0]
        ImageDraw.Draw(image).text((SIZE[0] / 2, SIZE[1] / 2), number, "gray", anchor="mm", font_size=96)
    ImageOps.pad(ImageOps.contain(image, SIZE), SIZE, color="white").save(folder / f"{name}.png", optimize=True)


def _own_figure(notebook: nbformat.NotebookNode) -> bytes | None:
    figures = [
        output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    return base64.b64decode(figures[-1]) if figures else None


def _reference_figure(name: str) -> bytes | None:
    folder = REPOSITORY / "outputs" / "reference"
    ledger = pd.read_csv(folder / "ledger.csv", keep_default_na=False)
    files = ledger.loc[(ledger["notebook"] == name) & (ledger["kind"] == "figure"), "files"]
    found = [path for path in (folder / file.partition(";")[0] for file in files) if path.is_file()]
    return found[-1].read_bytes() if found else None


def _write_index(pages: list[Page]) -> str:
    """One section with cards for the thesis's notebooks, one for those beyond it."""
    lines = ["# Notebooks", "", _describe_runs(pages), ""]
    for title, chosen in (
        ("The thesis", [page for page in pages if page.name < "10"]),
        ("Beyond the thesis", [page for page in pages if page.name >= "10"]),
    ):
        lines += [f"## {title}", "", "::::{grid} 1 2 3 3", ":gutter: 3", ""]
        for page in chosen:
            lines += [f":::{{grid-item-card}} {page.title}", f":img-top: thumbnails/{page.name}.png"]
            lines += [f":img-alt: A figure of notebook {page.title}", f":link: {page.name}", ":link-type: doc", ""]
            lines += [page.question, ":::", ""]
        lines += ["::::", ""]
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *(page.name for page in pages), "```", ""])


def _describe_runs(pages: list[Page]) -> str:
    runs = {run: [page.name[:2] for page in pages if page.run == run] for run in (*RUNS, "")}
    named = [f"{', '.join(names)} with `params/{run}.yaml`" for run, names in runs.items() if run and names]
    text = (
        f"Executed: {'; '.join(named)}."
        if named
        else "None of them is executed here; figures are of the reference run."
    )
    if named and runs[""]:
        text += f" Not executed: {', '.join(runs[''])}."
    return (
        f"Each notebook asks one question. {text} All can be run again: see [Getting started](../getting_started.md)."
    )
