"""What a difference decides: one rule, one word in the table, one sentence."""

import math
from collections.abc import Iterable

import pandas as pd

from twostamp.evaluation.bootstrap import Estimate

ENOUGH = 5
"""Trainings of a model without which nothing is decided: fewer do not show how much trainings differ."""
FEWEST = 6
"""Objects that must change for a difference to be decided: the exact sign test of five alike has p = 0.06."""
UNDECIDED = "undecided"
COLUMNS = ("claim", "value", "low", "high", "n", "trainings", "verdict")


def judge(
    found: Estimate, trainings: int, words: tuple[str, str] = ("more", "less"), *, changed: int = FEWEST, at: float = 0
) -> str:
    """Say on which side of a value the whole interval lies.

    Parameters
    ----------
    found : Estimate
    trainings : int
        Of each model.
    words : (str, str)
        Above, below.
    changed : int
        Objects on which the models differ.
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
    """Say whether a difference is as good as none: its interval of 90 % lies within the margin (TOST), or outside.

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
    """Lay out a claim as a row of `COLUMNS`, judged by `judge`."""
    verdict = judge(found, trainings, words, **options)  # type: ignore[arg-type]
    return {"claim": claim, **found.to_row("value"), "n": n, "trainings": trainings, "verdict": verdict}


def tabulate_claims(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Put rows of `make_claim` together."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def summarise_claims(table: pd.DataFrame) -> list[str]:
    """Write the sentence of each row of a table with `COLUMNS`, values in hundredths.

    Examples
    --------
    >>> row = make_claim("the second alert adds accuracy", Estimate(0.03, 0.01, 0.05), 1000, 5, ("yes", "no"))
    >>> print(*summarise_claims(tabulate_claims([row])))
    the second alert adds accuracy: +3.0 points (95 %: +1.0 to +5.0), n 1000, trainings 5: yes
    """
    sentences = []
    for row in table.to_dict("records"):
        found = Estimate.from_row(row, "value").points
        size = "" if math.isnan(found.value) else f"{found:+.1f points}, n {row['n']}, trainings {row['trainings']}: "
        sentences.append(f"{row['claim']}: {size}{row['verdict']}")
    return sentences
