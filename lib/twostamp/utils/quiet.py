"""Import a framework without what its C++ prints before any setting of its log counts."""

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_CHATTER = re.compile(
    rb"^(I\d{4} |WARNING: All log messages before absl::InitializeLog|.*: I (tensorflow|external)/|To enable the)"
)
"""Information, not warnings or errors, of absl and TensorFlow."""


class QuietImport(MetaPathFinder):
    """Hides informational lines from standard error when a module is first imported.

    Parameters
    ----------
    module : str
        Module, for example ``tensorflow``. All other lines are written when the import ends or fails.

    Examples
    --------
    >>> sys.meta_path.insert(0, QuietImport("a_framework_that_chatters"))
    """

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find the module as Python does, and load it quietly."""
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        return spec and _load_quietly(spec)


def _load_quietly(spec: ModuleSpec) -> ModuleSpec:
    loader: Any = spec.loader
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        loader.exec_module = load
        with keep_information():
            load(module)

    loader.exec_module = exec_module
    return spec


@contextmanager
def keep_information() -> Iterator[None]:
    """Hold back the output to file descriptor 2, and pass on lines that are not informational."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
