"""Where notebooks, parameter files and outputs are.

A *study* is a folder with the notebooks in ``notebooks/`` and parameter files in ``params/``: a checkout of the
repository, or what ``twostamp init`` makes. The study of a process is the nearest one at or above its working folder,
so that a kernel started in ``notebooks/`` finds it. Without one it is the repository that this package runs from.
Elsewhere, as in an empty folder, the working folder gets the outputs, and the package's own notebooks and parameters
are used.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _is_study(folder: Path) -> bool:
    return (folder / "notebooks" / "00_background.ipynb").exists() and (folder / "params").is_dir()


def original_study() -> Path:
    """Folder of the notebooks and parameter files that came with this package."""
    packaged = PACKAGE / "study"
    return packaged if packaged.exists() else PACKAGE.parents[1]


def find_study() -> Path | None:
    """Find the study of the working folder; None where there is none."""
    here = Path.cwd()
    repository = PACKAGE.parents[1]
    return next(filter(_is_study, (here, *here.parents, repository)), None)


def notebooks_folder() -> Path:
    """Folder of the notebooks that a run executes."""
    return (find_study() or original_study()) / "notebooks"


def find_parameters(run: str) -> Path:
    """Find a parameter file by the name of a run, such as ``quick``, or by its path."""
    path = Path(run)
    named = path.suffix in (".yaml", ".yml") or path.is_file()
    return path if named else (find_study() or original_study()) / "params" / f"{run}.yaml"


def outputs_root() -> Path:
    """Folder of all runs: ``$TWOSTAMP_OUTPUTS``, else ``outputs`` in the study or in the working folder."""
    return Path(os.environ.get("TWOSTAMP_OUTPUTS") or (find_study() or Path.cwd()) / "outputs")
