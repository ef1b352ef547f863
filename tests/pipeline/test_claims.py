"""The page of the claims is written from their tables, and what the documentation quotes stands on it."""

import re

import pandas as pd
import pytest

from tests import REPOSITORY
from twostamp.pipeline.claims import copy_claims, render_claims, write_claims

REFERENCE = REPOSITORY / "outputs" / "reference" / "claims"
PAGE = REPOSITORY / "docs" / "claims.md"
QUOTED = re.compile(r"[+-]\d+\.\d points \(95 %: [+-]\d+\.\d to [+-]\d+\.\d\)")
ROW = {"claim": "the second alert helps", "value": 0.05, "low": 0.03, "high": 0.07, "n": 1000, "trainings": 5}


def test_a_page_has_a_row_a_claim_and_says_what_its_alerts_are(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    folder = tmp_path / "decide" / "tables"
    folder.mkdir(parents=True)
    row = {**ROW, "verdict": "stands", "data": "simulated survey"}
    table = pd.DataFrame([row, row | {"claim": "what |b| explains", "n": 200, "verdict": "depends"}])
    table.to_csv(folder / "extra_claims_12.csv", index=False)
    pd.DataFrame([{"claim": "x", "verdict": "not tested"}]).reindex(columns=table.columns).to_csv(
        folder / "extra_claims_10.csv", index=False
    )
    table.to_csv(folder / "extra_other.csv", index=False)
    (tmp_path / "decide" / "figures").mkdir()
    (tmp_path / "decide" / "figures" / "extra_gains.png").write_bytes(b"drawn")
    page = write_claims("decide", tmp_path / "claims.md").read_text()
    row = "|the second alert helps|+5.0 points (95 %: +3.0 to +7.0)|1000|stands|"
    intervals = "95 % intervals over objects and trainings; equivalence is judged on the 90 % interval"
    assert f"simulated survey; trainings 5; {intervals}." in page.splitlines()
    assert row in page.splitlines()
    assert r"|what \|b\| explains|5.0 % (95 %: 3.0 to 7.0)|200|depends|" in page.splitlines()
    assert "|x||not tested|" in page.splitlines()
    assert sorted(path.name for path in (tmp_path / "reference" / "claims").iterdir()) == [
        "extra_claims_10.csv",
        "extra_claims_12.csv",
        "extra_gains.png",
    ]
    assert "(reference/claims/extra_gains.png)" in page
    assert QUOTED.search(row)


def test_worlds_are_no_trainings(tmp_path):
    row = {**ROW, "claim": "false differences", "trainings": "", "verdict": "cautious", "data": "random numbers"}
    pd.DataFrame([row]).to_csv(tmp_path / "extra_claims_10b.csv", index=False)
    assert (
        "random numbers; n 1000; 95 % intervals over worlds (Wilson)." in render_claims(tmp_path, tmp_path).splitlines()
    )


def test_a_run_without_claims_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    with pytest.raises(ValueError, match="no claims to copy"):
        copy_claims("decide")


def test_the_page_is_that_of_the_tables():
    assert PAGE.read_text() == render_claims(REFERENCE, PAGE.parent)


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_what_is_quoted_is_on_the_page(name):
    quoted = set(QUOTED.findall((REPOSITORY / name).read_text().replace("\n", " ")))
    assert quoted <= set(QUOTED.findall(PAGE.read_text()))
