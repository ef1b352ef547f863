"""Write files whole or not at all."""

import json
from pathlib import Path
from typing import Any


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data)
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step, so that a killed process leaves no half."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(path)
