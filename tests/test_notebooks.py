"""The form of the notebooks: short cells that tell, no code that belongs in the library, .py and .ipynb in step."""

import ast
import importlib
import re
import statistics
from pathlib import Path

import jupytext
import nbformat
import pytest

import twostamp
from tests import NOTEBOOKS
from twostamp.params import Parameters
from twostamp.pipeline.notebooks import EXTENDED, STANDS_ON
from twostamp.thesis import read_catalogue

SOURCES = sorted(NOTEBOOKS.glob("[0-9]*.py"))
LIBRARY = Path(twostamp.__file__).parent
TESTS = Path(__file__).parent


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def source(request):
    return request.param


def code_cells(path):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def test_the_sequence_is_complete():
    assert [path.stem for path in SOURCES] == list(STANDS_ON | EXTENDED)


def test_ipynb_is_generated_from_py_and_has_no_output(source):
    generated, edited = nbformat.read(source.with_suffix(".ipynb"), as_version=4), jupytext.read(source)
    for cell in generated.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    form = [[(c.cell_type, c.source, c.metadata.get("tags")) for c in nb.cells] for nb in (generated, edited)]
    assert form[0] == form[1], f"{source.stem}: write the .ipynb anew with `make notebooks`"
    assert generated.metadata.kernelspec.name == "python3"


def test_cells_are_few_and_short(source):
    cells = [cell.source for cell in code_cells(source)]
    assert len(cells) <= 20
    assert max(len(text.splitlines()) for text in cells) <= 12
    assert statistics.median(len(text.splitlines()) for text in cells) <= 5


def test_code_tells_and_does_not_define(source):
    for cell in code_cells(source):
        assert "sys.path" not in cell.source
        assert not re.search(r"""["']\.\.?/""", cell.source), "a relative path"
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef), cell.source


def test_imports_and_parameters_have_one_cell_each(source):
    importing = [c for c in code_cells(source) if re.search(r"^(import|from) ", c.source, re.MULTILINE)]
    assert len(importing) == 1
    parameters = [c for c in code_cells(source) if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1


def test_imports_come_from_rooms(source):
    """A room is a package of twostamp; analysis and plots have one door for each notebook, with its name."""
    for cell in code_cells(source):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("twostamp."):
                room, *inside = node.module.split(".")[1:]
                assert len(inside) <= (room in ("analysis", "plots")), node.module
                if (LIBRARY / room / "__init__.pyi").exists():
                    public = importlib.import_module(node.module).__all__
                    assert {alias.name for alias in node.names} <= set(public)


def test_notebook_analysis_plots_and_tests_share_a_name():
    names = {path.stem[3:] for path in SOURCES}
    analyses, plots = ({path.stem for path in (LIBRARY / room).glob("[a-z]*")} for room in ("analysis", "plots"))
    assert analyses - {"literature"} == names - {"supernova_hunter"}  # a room of its own
    assert plots - {"confusion", "schematics", "sky_maps", "style"} <= names
    tested = {path.stem.removeprefix("test_") for path in (TESTS / "analysis").glob("test_*.py")}
    assert {test for test in tested if not any(test == name or test.startswith(f"{name}_") for name in names)} == set()


def test_parameters_are_known_and_have_quicks_values(source):
    (cell,) = [c for c in code_cells(source) if "parameters" in c.metadata.get("tags", [])]
    values = {}
    exec(cell.source, {}, values)
    defaults = Parameters.model_fields
    assert values["run_name"] == "quick"
    for name, value in values.items():
        assert value == defaults[name].default, f"{source.stem}: {name}"


def test_prose_opens_the_notebook_and_outweighs_nothing(source):
    cells = jupytext.read(source).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith(f"# {source.stem[:2]} ")
    assert sum(cell.cell_type == "markdown" for cell in cells) >= 4


def test_every_item_is_named_by_its_owner_and_saved_by_nobody_else():
    catalogue = read_catalogue().query("kind != 'number' and source != 'third-party'")
    owners = {(row.kind, row.id): row.notebook for row in catalogue.itertuples()}
    texts = {path.stem: "\n".join(cell.source for cell in code_cells(path)) for path in SOURCES}
    for (_, item), notebook in owners.items():
        in_a_loop = item.startswith("C.")  # annex C's figures are listed in twostamp.plots.exploratory_analysis
        assert in_a_loop or f'"{item}"' in texts[notebook], f"{item} is not in {notebook}"
    saved = [
        (("algorithm" if item == "B.1" else kind, item), notebook)
        for notebook, text in texts.items()
        for kind, item in re.findall(r"""run\.save_(figure|table)\([^"']*["']([0-9A-C]\.\d+)["']""", text)
    ]
    assert len(dict(saved)) == len(saved), "an item is saved twice"
    assert all(owners[key] == notebook for key, notebook in saved)
