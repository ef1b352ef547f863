"""Build the documentation site: ``python docs/build.py [--run RUN] [--out FOLDER]``.

Gathers pages, notebooks and the API in FOLDER/source and lets Sphinx write FOLDER/html. Nothing is downloaded, and a
warning is an error. Links that lead on GitHub to a file of the repository lead here to its page, or to a copy of it.
"""

import argparse
import os
import re
import shutil
from pathlib import Path

import api
import gallery
from sphinx.cmd.build import build_main

from twostamp.utils import outputs_root

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
BESIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "SECURITY.md": "security.md",
    "outputs/README.md": "outputs.md",
    "outputs/reference/bench.md": "bench.md",
}
"""Pages that live outside docs/, and their names on the site."""
PARAMETERS = "```{parameters}\n```"
"""Place of the tables of parameters in a page."""
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def main(arguments: list[str] | None = None) -> int:
    """Build the site; the exit status is Sphinx's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="", help="take all executed notebooks from this run (else the best of each)")
    parser.add_argument("--outputs", type=Path, default=outputs_root(), help="folder of all runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=DOCS / "_build", help="folder of the site (%(default)s)")
    options = parser.parse_args(arguments)
    source, html = options.out / "source", options.out / "html"
    shutil.rmtree(options.out, ignore_errors=True)
    gather(source, options.outputs, options.run)
    options_of_sphinx = ["-W", "--keep-going", "-q", "-j", "auto", "-d", str(options.out / "doctrees"), "-c", str(DOCS)]
    status = build_main([*options_of_sphinx, str(source), str(html)])
    print(f"{html}/index.html" if status == 0 else "the site was not built")
    return status


def gather(source: Path, outputs: Path, run: str = "") -> None:
    """Write everything that Sphinx reads into a new folder."""
    pages = {path: path.relative_to(DOCS) for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    pages |= {REPOSITORY / name: Path(page) for name, page in BESIDE.items()}
    for path, page in pages.items():
        target = source / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_rewrite(path, source, target, pages))
    gallery.write_gallery(source / "notebooks", outputs, run)
    api.write_pages(source / "api")


def _rewrite(path: Path, source: Path, target: Path, pages: dict[Path, Path]) -> str:
    """A page with its links turned to the site's pages; other files of the repository are copied beside them."""

    def turn(link: re.Match[str]) -> str:
        linked = (path.parent / link[2]).resolve()
        if linked in pages:
            place = pages[linked]
        elif linked.suffix == ".ipynb":
            place = linked.relative_to(REPOSITORY)
        elif linked.is_file():
            place = Path("files") / linked.relative_to(REPOSITORY)
            (source / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(linked, source / place)
        else:
            raise SystemExit(f"{path}: there is no {link[2]}")
        return link[1] + os.path.relpath(source / place, target.parent) + link[3]

    text = path.read_text()
    if PARAMETERS in text:
        text = text.replace(PARAMETERS, api.write_parameters())
    return LINK.sub(turn, text)


if __name__ == "__main__":
    raise SystemExit(main())
