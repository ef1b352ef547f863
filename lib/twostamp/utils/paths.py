"""Where things are, found from this file and never from the working directory."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

NOTEBOOKS = REPOSITORY / "notebooks"
PARAMS = REPOSITORY / "params"


def outputs_root() -> Path:
    """Folder of all runs: ``$TWOSTAMP_OUTPUTS`` if set, else ``outputs`` in the repository."""
    return Path(os.environ.get("TWOSTAMP_OUTPUTS") or REPOSITORY / "outputs")
