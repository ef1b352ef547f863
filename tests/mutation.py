"""Change the code line by line, and see which changes the tests notice: ``python -m tests.mutation [--only stamps]``.

mutmut (``pip install mutmut``) mutates the modules of ``[tool.mutmut]`` in ``pyproject.toml``, in a copy of the
repository, and runs for each mutant the tests that reach it: 1700 of them, an hour on two idle cores. ``--sample 60``
tries so many of each module, and ``--show`` prints those that survive.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import REPOSITORY

LEAST = 0.85
"""Share of mutants that the tests have to kill."""
_KILLED = {1, 3, 24, -24, 36, 152, 255}  # of mutmut's exit codes: a test failed, or found no end
_COPIED = ("tests", "params", "notebooks", "pyproject.toml")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="MODULE", help="such as stamps; by default all")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each module, drawn at random")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="mutants at once (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where to keep what mutmut makes; what is there is used again")
    parser.add_argument("--show", action="store_true", help="print the mutants that survive")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="mutation-"))
    _stage(folder)
    environment = os.environ | {"PYTHONPATH": ""}
    mutmut = [sys.executable, "-m", "mutmut"]

    def run(wanted: list[str]) -> int:
        command = [*mutmut, "run", "--max-children", str(options.workers), *wanted]
        with (folder / "mutmut.log").open("w") as log:
            return subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False).returncode

    wanted = [f"twostamp.*{name}.*" for name in options.only]
    if options.sample:
        run(["twostamp.none"])  # makes the mutants
        wanted = _draw(folder, options.only, options.sample)
    if code := run(wanted):
        print(*(folder / "mutmut.log").read_text().splitlines()[-40:], sep="\n", file=sys.stderr)
        return code
    counts = _count(folder, options.only)
    survivors = [name for _, names in counts.values() for name in names]
    killed = sum(n for n, _ in counts.values())
    for module, (n, names) in [*sorted(counts.items()), ("all", (killed, survivors))]:
        print(f"{module:40} {n:5d} of {n + len(names):5d} killed: {n / max(n + len(names), 1):6.1%}")
    for name in survivors if options.show else ():
        subprocess.run([*mutmut, "show", name], cwd=folder, env=environment, check=False)
    if not options.folder:
        shutil.rmtree(folder)
    return int(killed < LEAST * (killed + len(survivors)))


def _stage(folder: Path) -> None:
    """Copy what the tests need; mutmut knows packages in ``src`` only."""
    for name, to in [("lib", "src"), *((name, name) for name in _COPIED)]:
        source, target = REPOSITORY / name, folder / to
        if source.is_file():
            shutil.copy2(source, target)
        else:
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _find_mutants(folder: Path, only: list[str]) -> dict[str, dict[str, int | None]]:
    """List the mutants of every module, and the exit codes of those that were tried."""
    found = {}
    for path in sorted(folder.glob("mutants/src/**/*.py.meta")):
        module = ".".join(path.relative_to(folder / "mutants/src").parts).removesuffix(".py.meta")
        codes = json.loads(path.read_text())["exit_code_by_key"]
        if codes and (not only or any(name in module for name in only)):
            found[module] = codes
    return found


def _draw(folder: Path, only: list[str], count: int) -> list[str]:
    rng, modules = random.Random(1), _find_mutants(folder, only).values()
    return [name for names in modules for name in rng.sample(sorted(names), min(count, len(names)))]


def _count(folder: Path, only: list[str]) -> dict[str, tuple[int, list[str]]]:
    """Count the killed mutants, and list the others, of every module."""
    counts = {}
    for module, codes in _find_mutants(folder, only).items():
        tried = {name: code for name, code in codes.items() if code is not None}
        survivors = [name for name, code in tried.items() if code not in _KILLED]
        counts[module] = len(tried) - len(survivors), survivors
    return counts


if __name__ == "__main__":
    sys.exit(main())
