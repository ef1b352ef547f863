"""State of a long training on disk, so that a killed one resumes after its last stored epoch."""

import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twostamp.utils.files import replacing

FORMAT = 1


@dataclass
class Checkpoint:
    """File with the state of one training between two epochs.

    Attributes
    ----------
    path : Path
        A ``.npz`` file.
    identity : dict
        All inputs of the training; a state of another training is ignored.
    interval : float
        Seconds between two states; a shorter training leaves none. 0 stores after every epoch.
    """

    path: Path
    identity: dict[str, Any]
    interval: float
    _stored: float = field(default_factory=time.monotonic)

    def load(self) -> tuple[dict[str, Any], list[np.ndarray]] | None:
        """Return the last state saved for this training; None if there is none, or none that is readable."""
        try:
            with np.load(self.path) as content:
                stored = json.loads(str(content["about"]))
                if stored.pop("identity") != self._identify():
                    return None
                return stored, [content[f"array_{i}"] for i in range(len(content.files) - 1)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def is_due(self) -> bool:
        """Whether the last state is old enough for another one."""
        return time.monotonic() - self._stored >= self.interval

    def save(self, about: dict[str, Any], arrays: Sequence[Any]) -> None:
        """Store a state in place of the previous one.

        Parameters
        ----------
        about : dict
            Values for JSON.
        arrays : sequence of array
        """
        content: dict[str, Any] = {f"array_{i}": np.asarray(values) for i, values in enumerate(arrays)}
        content["about"] = np.array(json.dumps({**about, "identity": self._identify()}))
        with replacing(self.path) as part, part.open("wb") as file:
            np.savez(file, **content)
        self._stored = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the training has its result."""
        self.path.unlink(missing_ok=True)

    def _identify(self) -> Any:
        return json.loads(json.dumps([FORMAT, self.identity]))
