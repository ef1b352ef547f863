"""The state of a training on disk: whose it is, when it is due, and what damage does."""

from pathlib import Path

import numpy as np
import pytest

from twostamp.models.checkpoint import Checkpoint


def test_a_state_comes_back_for_its_training_alone(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a.npz", {"trial": "a", "sizes": (1, 2)}, interval=0)
    assert checkpoint.load() is None
    checkpoint.save({"epoch": 3}, [np.arange(3), np.float32(0.5)])
    about, arrays = Checkpoint(tmp_path / "a.npz", {"trial": "a", "sizes": (1, 2)}, interval=0).load() or ({}, [])
    assert about == {"epoch": 3}
    assert [array.tolist() for array in arrays] == [[0, 1, 2], 0.5]
    assert Checkpoint(tmp_path / "a.npz", {"trial": "b", "sizes": (1, 2)}, interval=0).load() is None
    checkpoint.remove()
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_a_damaged_state_counts_as_none(tmp_path: Path, kept: int) -> None:
    checkpoint = Checkpoint(tmp_path / "a.npz", {}, interval=0)
    checkpoint.save({}, [np.arange(300)])
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:kept])
    assert checkpoint.load() is None


def test_a_state_is_due_after_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "a.npz", {}, interval=60, _stored=0.0)
    now[0] = 59
    assert not checkpoint.is_due()
    now[0] = 60
    assert checkpoint.is_due()
    checkpoint.save({}, [])
    assert not checkpoint.is_due()
