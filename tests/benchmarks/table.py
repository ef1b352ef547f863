"""What a run of the benchmarks leaves: the rows as JSON, and for readers a table and how far its rates carry."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Row
from twostamp.utils.files import write_file

ARCHIVE_ALERTS, ARCHIVE_BYTES = 222e6, 7.5e12
THESIS = "36 min on 240 vCPU: 144 core-hours, 428 alerts/s or 14.5 MB/s per vCPU"
ZTF_NIGHT, RUBIN_NIGHT, BURST, EXPOSURE = 1.2e6, 10e6, 10_000, 39
KEYS, MEGABYTES = "keys from .tar.gz / tarfile + fastavro.reader", "the same by compressed bytes"
EXTRACTION, CLASSES = "first two alerts, Spark local[2]", "end to end, Avro to probabilities"


def save(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write the rows as JSON, and beside it as Markdown; each file whole or not at all."""
    content = json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)
    for file, text in ((path, content), (path.with_suffix(".md"), make_markdown(machine, rows))):
        write_file(file, f"{text}\n")


def make_markdown(machine: dict[str, Any], rows: Sequence[Row]) -> str:
    """Make the page for readers; a ratio below its target is bold."""
    lines = [
        "| row | unit | ours | reference | ratio | least | greatest | at least | packets |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.ratio >= row.target else f"**{row.ratio:.2f}**"
        numbers = (
            f"{row.ours:.4g}",
            f"{row.reference:.4g}",
            ratio,
            f"{row.low:.2f}",
            f"{row.high:.2f}",
            f"{row.target:g}",
            row.input,
        )
        lines.append(f"| {' | '.join((row.row, row.unit, *numbers))} |")
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join(["# Measured", "", f"`make bench` on: {described}.", "", *lines, *extrapolate(rows)])


def extrapolate(rows: Sequence[Row]) -> list[str]:
    """Say what the measured rates give for the thesis's archive and for nights; nothing if a rate was not measured.

    Examples
    --------
    >>> names = [KEYS, MEGABYTES, EXTRACTION, CLASSES]
    >>> lines = extrapolate([Row(name, "", 1000.0, 1, 1, 1, 1, 1) for name in names])
    >>> lines[-1]
    '| a Rubin night, 10 million; 10 000 every 39 s | to classes: 2.8 h of two cores; a burst 10 s |'
    """
    names = (KEYS, MEGABYTES, EXTRACTION, CLASSES)
    found = [row.ours for name in names for row in rows if row.row.startswith(name)]
    if len(found) < len(names):
        return []
    keys, megabytes, extraction, classes = found
    archive = (
        f"key pass: {ARCHIVE_ALERTS / keys / 3600:.1f} core-hours by alerts, "
        f"{ARCHIVE_BYTES / megabytes / 3.6e9:.1f} by bytes; "
        f"whole extraction at the small run's rate: {2 * ARCHIVE_ALERTS / extraction / 3600:.0f}"
    )
    ztf = (
        f"keys: {ZTF_NIGHT / keys / 60:.1f} min of a core; to classes: {ZTF_NIGHT / classes / 60:.0f} min of two cores"
    )
    rubin = f"to classes: {RUBIN_NIGHT / classes / 3600:.1f} h of two cores; a burst {BURST / classes:.0f} s"
    return [
        *("", "## How far it carries", ""),
        "Arithmetic with the rows above. Storage, network and stragglers are left out; Rubin's packets count as ZTF's.",
        *("", "| load | from our rates |", "|---|---|"),
        f"| the thesis's archive, 222 million alerts, 7.5 TB ({THESIS}) | {archive} |",
        f"| a ZTF night, 1.2 million: 33 a second for ten hours | {ztf} |",
        f"| a Rubin night, 10 million; 10 000 every {EXPOSURE} s | {rubin} |",
    ]
