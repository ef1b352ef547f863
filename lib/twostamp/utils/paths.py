"""Paths of notebooks, parameter files and outputs.

A *study* is a folder with the notebooks in ``notebooks/`` and parameter files in ``params/``: a checkout of the
repository, or a folder of ``twostamp init``. The study of a process is the nearest one at or above its working folder,
so a kernel started in ``notebooks/`` finds it. Without one it is the repository that this package runs from. Elsewhere,
outputs go to the working folder, and the package's own notebooks and parameters are used.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _is_study(folder: Path) -> bool:
    return (folder / "notebooks" / "00_background.ipynb").exists() and (folder / "params").is_dir()


def original_study() -> Path:
    """Return the folder of the package's own notebooks and parameter files."""
    packaged = PACKAGE / "study"
    return packaged if packaged.exists() else PACKAGE.parents[1]


def find_study() -> Path | None:
    """Find the study of the working folder; None if there is none."""
    here = Path.cwd()
    repository = PACKAGE.parents[1]
    return next(filter(_is_study, (here, *here.parents, repository)), None)


def notebooks_folder() -> Path:
    """Return the folder of the notebooks that a run executes."""
    return (find_study() or original_study()) / "notebooks"


def find_parameters(run: str) -> Path:
    """Find a parameter file by the name of a run, for example ``quick``, or by its path."""
    path = Path(run)
    named = path.suffix in (".yaml", ".yml") or path.is_file()
    return path if named else (find_study() or original_study()) / "params" / f"{run}.yaml"


def outputs_root() -> Path:
    """Return the folder of all runs: ``$TWOSTAMP_OUTPUTS``, else ``outputs`` in the study or the working folder."""
    return Path(os.environ.get("TWOSTAMP_OUTPUTS") or (find_study() or Path.cwd()) / "outputs")
