"""Verdict on a difference: one rule, one word in the table, one sentence."""

import math
from collections.abc import Iterable

import pandas as pd

from twostamp.evaluation.bootstrap import Estimate

ENOUGH = 5
"""Fewest trainings of a model for a verdict: fewer do not show how much trainings vary."""
FEWEST = 6
"""Fewest changed objects for a verdict: the exact sign test of five equal changes has p = 0.06."""
UNDECIDED = "undecided"
COLUMNS = ("claim", "value", "low", "high", "n", "trainings", "verdict")


def judge(
    found: Estimate, trainings: int, words: tuple[str, str] = ("more", "less"), *, changed: int = FEWEST, at: float = 0
) -> str:
    """Decide on which side of a value the whole interval lies.

    Parameters
    ----------
    found : Estimate
    trainings : int
        Of each model.
    words : (str, str)
        Verdicts above and below the value.
    changed : int
        Number of objects on which the models differ.
    at : float

    Examples
    --------
    >>> judge(Estimate(0.02, 0.01, 0.03), trainings=5), judge(Estimate(0.02, 0.01, 0.03), trainings=4)
    ('more', 'undecided')
    """
    if trainings < ENOUGH or changed < FEWEST:
        return UNDECIDED
    return words[0] if found.low > at else words[1] if found.high < at else UNDECIDED


def judge_within(found: Estimate, trainings: int, margin: float) -> str:
    """Decide whether a difference is negligible: its 90 % interval lies within the margin (TOST), or outside.

    Examples
    --------
    >>> judge_within(Estimate(0.001, -0.004, 0.006), trainings=5, margin=0.01)
    'equivalent'
    """
    if trainings < ENOUGH or math.isnan(found.low):
        return UNDECIDED
    if -margin < found.low and found.high < margin:
        return "equivalent"
    return "different" if found.low > margin or found.high < -margin else UNDECIDED


def make_claim(
    claim: str, found: Estimate, n: int, trainings: int, words: tuple[str, str] = ("more", "less"), **options: float
) -> dict[str, object]:
    """Make a row of `COLUMNS` from a claim, with the verdict of `judge`."""
    verdict = judge(found, trainings, words, **options)  # type: ignore[arg-type]
    return {"claim": claim, **found.to_row("value"), "n": n, "trainings": trainings, "verdict": verdict}


def tabulate_claims(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Combine rows of `make_claim` into a table."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def summarise_claims(table: pd.DataFrame) -> list[str]:
    """Write one sentence per row of a table with `COLUMNS`, values in hundredths.

    Examples
    --------
    >>> row = make_claim("the second alert adds accuracy", Estimate(0.03, 0.01, 0.05), 1000, 5, ("yes", "no"))
    >>> print(*summarise_claims(tabulate_claims([row])))
    the second alert adds accuracy: +3.0 points (95 %: +1.0 to +5.0), n 1000, trainings 5: yes
    """
    sentences = []
    for row in table.to_dict("records"):
        found = Estimate.from_row(row, "value").points
        sizes = "".join(f", {name} {row[name]}" for name in ("n", "trainings") if row[name] != "")
        size = "" if math.isnan(found.value) else f"{found:+.1f points}{sizes}: "
        sentences.append(f"{row['claim']}: {size}{row['verdict']}")
    return sentences
