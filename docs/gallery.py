"""The notebooks of the site: executed where a run has them, with a thumbnail each."""

import os
from dataclasses import dataclass
from pathlib import Path

import nbformat
from PIL import Image, ImageDraw, ImageOps

REPOSITORY = Path(__file__).resolve().parents[1]
RUNS = ("simulated", "quick", "test")
"""Runs to take executed notebooks from, the best first."""
SIZE = (480, 300)
THUMBNAILS = {
    "00_background": "figure_2.11",
    "01_data_extraction": "figure_6.12",
    "02_exploratory_analysis": "figure_3.7",
    "03_dataset_preparation": "figure_3.9",
    "04_model_search": "extra_learning_curves",
    "05_model_comparison": "figure_6.2",
    "06_inference_time": "figure_6.4",
    "07_unlabelled_sky": "figure_6.6",
    "08_metadata_importance": "figure_6.8",
    "09_additional_classes": "figure_6.11",
    "10_significance": "extra_comparisons",
    "11_calibration": "extra_reliability",
    "12_second_alert": "extra_flips",
    "13_ageing": "extra_ageing_years",
    "14_shortcut_audit": "extra_attributions",
    "15_specification_curve": "extra_specification_curve",
    "16_tonight": "extra_tonight_sky",
    "18_real_sky": "extra_real_sky",
}
"""Figure of a run that shows what a notebook is about."""
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
        is_older = bool(found) and _code(notebook) != _code(read(source))
        figures = [*([path.parents[1] / "figures"] if found else []), REPOSITORY / "outputs" / "reference" / "figures"]
        _write_thumbnail(source.stem, figures, folder / "thumbnails" / f"{source.stem}.png")
        _clean(notebook, source.stem, found, is_older)
        nbformat.write(notebook, folder / source.name)
        pages.append(Page(source.stem, title, question, found))
    (folder / "index.md").write_text(_write_index(pages))
    return pages


def _describe(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Title of a notebook, and its question up to the first question mark."""
    text = notebook.cells[0].source
    title = text.split("\n", 1)[0].lstrip("# ")
    question = text.partition("**Question.**")[2].replace("\n", " ").split("**In.**")[0]
    return title, question[: question.find("?") + 1].strip() or question.strip()


def _code(notebook: nbformat.NotebookNode) -> list[str]:
    """Code of a notebook without its parameters, which differ from run to run."""
    named = ("parameters", "injected-parameters")
    cells = [cell for cell in notebook.cells if not set(named) & set(cell.metadata.get("tags", []))]
    return [cell.source for cell in cells if cell.cell_type == "code"]


def _clean(notebook: nbformat.NotebookNode, name: str, run: str, is_older: bool) -> None:
    """Add where the results are from; leave out progress bars and what a browser would need widgets for."""
    command = "run" if name < "10" else "extend"
    note = SMALLEST if run == "test" else EXECUTED.format(run=run) if run else NOT_EXECUTED.format(command=command)
    note += " The notebook has changed since." if is_older else ""
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(f":::{{note}}\n{note}\n:::"))
    notebook.metadata.pop("widgets", None)
    # papermill keeps the defaults beside what it was given
    if any("injected-parameters" in cell.metadata.get("tags", []) for cell in notebook.cells):
        notebook.cells = [cell for cell in notebook.cells if "parameters" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]


def _write_thumbnail(name: str, folders: list[Path], target: Path) -> None:
    """Shrink the figure that stands for a notebook, of the first folder that has it; without one, draw its number."""
    found = [folder / f"{THUMBNAILS.get(name, name)}.png" for folder in folders]
    figure = next(filter(Path.is_file, found), None)
    if figure:
        image = Image.open(figure).convert("RGB")
    else:
        image = Image.new("RGB", SIZE, "white")
        number = name.partition("_")[0]
        ImageDraw.Draw(image).text((SIZE[0] / 2, SIZE[1] / 2), number, "gray", anchor="mm", font_size=96)
    ImageOps.pad(ImageOps.contain(image, SIZE), SIZE, color="white").save(target, optimize=True)


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
