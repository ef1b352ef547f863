"""Agreement of people with one another and with themselves, and their final list."""

from itertools import combinations

import numpy as np
import pandas as pd

from twostamp.hunter.verdicts import find_standing, list_comments

_FINAL = ["object_id", "verdict", "people", "agreed", "kind", "candids", "comments", "simulated"]


def cohen_kappa(first: pd.Series, second: pd.Series) -> float:
    """Compute the agreement of two people beyond chance on the same objects (Cohen 1960); NaN if chance explains all.

    Examples
    --------
    >>> yes, no = ["yes"], ["no"]
    >>> round(cohen_kappa(pd.Series(yes * 25 + no * 25), pd.Series(yes * 20 + no * 5 + yes * 10 + no * 15)), 3)
    0.4
    """
    table = pd.crosstab(first.to_numpy(), second.to_numpy())
    names = table.index.union(table.columns)
    shares = table.reindex(index=names, columns=names, fill_value=0).to_numpy() / max(len(first), 1)
    chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    return (float(np.trace(shares)) - chance) / (1 - chance) if len(first) and chance < 1 else float("nan")


def measure_agreement(events: pd.DataFrame) -> pd.DataFrame:
    """Measure the agreement of each pair of people on their common objects, and of each person with herself.

    Parameters
    ----------
    events : DataFrame
        Table from `twostamp.hunter.verdicts.VerdictStore.events`.

    Returns
    -------
    DataFrame
        person, other, objects, same (share of equal verdicts), kappa. For candidates that were shown twice, other is
        the person herself.
    """
    once, again = find_standing(events), find_standing(events, repeated=True)
    by_person, by_repeat = (
        {person: rows.set_index("object_id")["verdict"] for person, rows in table.groupby("person")}
        for table in (once, again)
    )
    pairs = [(*pair, by_person[pair[0]], by_person[pair[1]]) for pair in combinations(by_person, 2)]
    pairs += [(person, person, by_person[person], by_repeat[person]) for person in by_person if person in by_repeat]
    rows = []
    for person, other, mine, theirs in pairs:
        common = mine.index.intersection(theirs.index)
        mine, theirs = mine.loc[common], theirs.loc[common]
        same = float((mine == theirs).mean()) if len(common) else float("nan")
        rows.append((person, other, len(common), same, cohen_kappa(mine, theirs)))
    return pd.DataFrame(rows, columns=["person", "other", "objects", "same", "kappa"])


def make_final_list(events: pd.DataFrame) -> pd.DataFrame:
    """Make one row per object with a verdict.

    Parameters
    ----------
    events : DataFrame
        Table from `twostamp.hunter.verdicts.VerdictStore.events`.

    Returns
    -------
    DataFrame
        object_id, verdict, people, agreed, kind (most frequent), candids of the latest verdict, comments, simulated.
        The verdict is that of most people, or ``unsure`` in a tie; agreed is the share who gave it.
    """
    standing = find_standing(events)
    comments = list_comments(events)
    rows = []
    for object_id, given in standing.groupby("object_id"):
        counts = given["verdict"].value_counts()
        tied = (counts == counts.iloc[0]).sum() > 1
        verdict = "unsure" if tied else counts.index[0]
        kinds = given.loc[(given["kind"] != "") & (verdict == "bogus"), "kind"].mode()
        rows.append(
            {
                "object_id": object_id,
                "verdict": verdict,
                "people": len(given),
                "agreed": float((given["verdict"] == verdict).mean()),
                "kind": kinds.get(0, ""),
                "candids": given["candids"].iloc[-1],
                "comments": comments.get(object_id, ""),
                "simulated": bool(given["simulated"].any()),
            }
        )
    return pd.DataFrame(rows, columns=_FINAL)


def list_disagreements(events: pd.DataFrame) -> pd.DataFrame:
    """List the objects with different verdicts: one column of verdicts per person, index object_id."""
    standing = find_standing(events)
    table = standing.pivot_table(index="object_id", columns="person", values="verdict", aggfunc="last")
    several = standing.groupby("object_id")["verdict"].nunique()
    return table.loc[several.index[several > 1]]
