"""What `make bench` leaves: its form, and a page for readers (the rates themselves are never tested)."""

import json

from tests.benchmarks.measure import Row
from tests.benchmarks.table import KEYS, save

MET, MISSED = Row(KEYS, "alerts/s", 30.0, 10.0, 3.0, 2.5, 3.5, 2), Row("slow", "alerts/s", 3.0, 2.0, 1.5, 1, 2, 2)


def test_the_rows_as_json_and_as_a_page(tmp_path):
    save(tmp_path / "bench" / "bench.json", {"cores": 2}, [MET, MISSED])
    content = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert list(content) == ["machine", "rows"]
    assert list(content["rows"][0]) == ["row", "unit", "ours", "reference", "ratio", "low", "high", "target"]
    page = (tmp_path / "bench" / "bench.md").read_text()
    assert "| 30 | 10 | 3.00 | 2.50 | 3.50 | 2 |" in page
    assert "| **1.50** |" in page
    assert "carries" not in page  # not every rate that it takes was measured
    assert {file.name for file in (tmp_path / "bench").iterdir()} == {"bench.json", "bench.md"}
