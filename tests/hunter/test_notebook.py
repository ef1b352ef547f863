"""Notebook 17 without JupyterLab."""

import runpy
from pathlib import Path

import pytest

from tests import NOTEBOOKS
from tests.hunter.night import FakeNight, write_night


def test_a_night_of_the_shipped_classifier_is_hunted_without_a_training_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    write_night(FakeNight(4), tmp_path / "quick" / "tonight" / "tonight.sqlite")
    names = runpy.run_path(str(NOTEBOOKS / "17_supernova_hunter.py"))
    assert len(names["table"]) == 4
