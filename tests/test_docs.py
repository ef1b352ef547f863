"""The documentation site: it builds without warnings, every link leads somewhere, and every public name has a place."""

import ast
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from tests import REPOSITORY
from tests.browser import Browser

sys.path.insert(0, str(REPOSITORY / "docs"))
api = pytest.importorskip("api", reason="the extra docs is not installed")
gallery = importlib.import_module("gallery")
EXECUTED = "02_exploratory_analysis"
SHOWN = ("index", "notebooks/index", f"notebooks/{EXECUTED}", "api/evaluation", "guide/parameters", "decisions")
NOTEBOOKS = {path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb")}
PAGES = sorted(path for path in (REPOSITORY / "docs").rglob("*.md") if "_build" not in path.parts)


class Page(HTMLParser):
    """Links, what is loaded, and anchors of an HTML page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.update(filter(None, (values.get("id"), values.get("name"))))
        if tag in ("script", "img", "iframe") and values.get("src"):
            self.loaded.append(values["src"])
        elif tag == "link" and "canonical" not in values.get("rel", ""):
            self.loaded.append(values.get("href", ""))
        elif tag == "a" and values.get("href"):
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as built with one executed notebook, whatever else ran in this clone."""
    folder = tmp_path_factory.mktemp("site")
    notebook = gallery.read(REPOSITORY / "notebooks" / f"{EXECUTED}.ipynb")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[-1].outputs = [nbformat.v4.new_output("stream", text="printed by the test")]
    notebook.metadata["papermill"] = {"end_time": "2026-01-01T00:00:00", "exception": None}
    executed = folder / "outputs" / "quick" / "notebooks"
    executed.mkdir(parents=True)
    nbformat.write(notebook, executed / f"{EXECUTED}.ipynb")
    command = [sys.executable, "docs/build.py", "--out", str(folder / "site"), "--outputs", str(folder / "outputs")]
    variables = {**os.environ, "TWOSTAMP_TEST_OUTPUTS": str(folder / "of tests")}
    built = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site" / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.slow
def test_every_link_leads_to_a_place_of_the_site(site, pages):
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.relative_to(site)}: {link}"


@pytest.mark.slow
def test_nothing_is_loaded_from_the_network(pages):
    assert [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc] == []


@pytest.mark.slow
def test_every_public_name_has_a_place(site, pages):
    rooms = {path.parent.name for path in (REPOSITORY / "lib" / "twostamp").glob("*/__init__.py")}
    assert rooms <= {path.stem for path in (site / "api").glob("*.html")}
    for page, modules in api.list_pages().items():
        anchors = pages[site / "api" / f"{page}.html"].anchors
        for module in modules:
            for name in api.public_names(module):
                value = getattr(module, name)
                home = value.__name__ if hasattr(value, "__spec__") else f"{module.__name__}.{name}"
                assert {home, f"module-{home}"} & anchors, home


@pytest.mark.slow
def test_notebooks_show_their_results_or_that_there_are_none(site):
    shown = (site / "notebooks" / f"{EXECUTED}.html").read_text()
    assert "printed by the test" in shown
    assert "params/quick.yaml" in shown
    assert "without results" in (site / "notebooks" / "10_significance.html").read_text()
    assert {path.stem for path in (site / "notebooks").glob("*.html")} == {*NOTEBOOKS, "index"}


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 390])
def test_pages_fit_their_screen(site, tmp_path, width):
    browser = Browser(tmp_path / "profile")
    try:
        for page in SHOWN:
            browser.open(site / f"{page}.html", width, 900)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, page
            assert browser.errors == []
            assert all(request.startswith(("file:", "data:")) for request in browser.requests)
    finally:
        browser.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_examples_are_python_and_import_what_exists(page):
    for block in re.findall(r"^( *)```python\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE):
        code = "\n".join(line.removeprefix(block[0]) for line in block[1].split("\n"))
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("twostamp"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


def test_thumbnails_are_of_notebooks():
    assert set(gallery.THUMBNAILS) <= NOTEBOOKS
