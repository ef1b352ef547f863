"""Tests of the library by room, of the notebooks, and of the repository."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS, PARAMS = REPOSITORY / "notebooks", REPOSITORY / "params"
