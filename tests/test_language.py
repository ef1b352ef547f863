"""Sentences of the site's pages and of the notebooks' text: short enough to be read once."""

import re

import nbformat
import pytest

from tests import REPOSITORY

LONGEST = 25  # words: what has a letter
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "notebooks/*.ipynb")
    for path in sorted(REPOSITORY.glob(pattern))
    if "_build" not in path.parts
]


def read_markdown(path):
    if path.suffix == ".md":
        return path.read_text()
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def find_sentences(markdown):
    """Sentences outside of code, formulas, tables and headings; a link, a formula or a piece of code is one word."""
    prose = re.sub(r"^( *)(```+|:::+|\$\$).*?^\1\2 *$", "\n", markdown, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"`[^`]+`|\$[^$\n]+\$|\]\([^)]*\)", "X", prose)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*>]|\d+\.) )", prose):
        if not re.match(r"\s*[|#<:]", paragraph):
            yield from re.split(r"(?<=[.!?])[*\")]*\s+(?=[^a-z])", " ".join(paragraph.split()))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_sentences_are_short(path):
    sentences = find_sentences(read_markdown(path))
    assert [s for s in sentences if len(re.findall(r"\S*[^\W\d]\S*", s)) > LONGEST] == []
