"""How many objects each subclass of a class gives: to the capped data set, to validation, to test (D3, D4)."""

from collections.abc import Mapping

import pandas as pd


def level_subclasses(counts: Mapping[str, int], cap: int) -> dict[str, int]:
    """Objects that each subclass of a class keeps so that they sum to the cap: algorithm B.1 in closed form (D3).

    Taking one object after another from the largest subclass ends with the large ones level and the small ones whole.

    Parameters
    ----------
    counts : mapping of str to int
        Objects of each subclass of one class.
    cap : int
        Objects of the class, at most.

    Returns
    -------
    dict
        Same keys; of equal subclasses the alphabetically first lose first, as in `level_subclasses_by_loop`.

    Examples
    --------
    >>> level_subclasses({"QSO": 900, "AGN": 900, "Blazar": 40}, cap=301)
    {'QSO': 131, 'AGN': 130, 'Blazar': 40}
    """
    if sum(counts.values()) <= cap:
        return dict(counts)
    level, room = 0, cap
    for left, count in zip(range(len(counts), 0, -1), sorted(counts.values()), strict=True):
        level = room // left
        if level < count:
            break
        room -= count
    levelled = {name: min(count, level) for name, count in counts.items()}
    spare = cap - sum(levelled.values())
    for name in sorted((name for name, count in counts.items() if count > level), reverse=True)[:spare]:
        levelled[name] += 1
    return levelled


def level_subclasses_by_loop(counts: Mapping[str, int], cap: int) -> dict[str, int]:
    """Algorithm B.1 word for word, the reference for `level_subclasses` (annex B).

    Examples
    --------
    >>> level_subclasses_by_loop({"QSO": 900, "AGN": 900, "Blazar": 40}, cap=301)
    {'QSO': 131, 'AGN': 130, 'Blazar': 40}
    """
    levelled = dict(counts)
    while sum(levelled.values()) > cap:
        largest = max(levelled.values())
        levelled[min(name for name, count in levelled.items() if count == largest)] -= 1
    return levelled


def share_out(counts: Mapping[str, int], total: int, room: Mapping[str, int]) -> dict[str, int]:
    """Share `total` among subclasses in proportion to their size, by largest remainders (section 3.4, D4).

    Parameters
    ----------
    counts : mapping of str to int
        Objects of each subclass of one class.
    total : int
        Objects to share out.
    room : mapping of str to int
        What each subclass can give; its last object is taken only when no other has one to give.

    Returns
    -------
    dict
        Same keys, sums to `total`; of equal remainders the alphabetically first is served first.

    Raises
    ------
    ValueError
        If there is not room for `total`.

    Examples
    --------
    >>> counts = {"QSO": 22513, "AGN": 5903, "Blazar": 1584}
    >>> share_out(counts, 200, room=counts)
    {'QSO': 150, 'AGN': 39, 'Blazar': 11}
    """
    if total > sum(room.values()):
        raise ValueError(f"cannot take {total} objects of {sum(room.values())}")
    size = sum(counts.values())
    shares = {name: min(count * total // size, room[name]) for name, count in counts.items()}
    order = sorted(counts, key=lambda name: (-(counts[name] * total % size), name))
    while missing := total - sum(shares.values()):
        able = [name for name in order if room[name] - shares[name] > 1]
        for name in (able or [name for name in order if room[name] > shares[name]])[:missing]:
            shares[name] += 1
    return shares


def describe_levelling(counts: pd.DataFrame, cap: int) -> pd.DataFrame:
    """Algorithm B.1 at work on a data set: objects before and after, in closed form and by the literal loop.

    Parameters
    ----------
    counts : DataFrame
        Columns classALeRCE, subclassALeRCE, objects, as `twostamp.dataset.count_subclasses` returns them.
    cap : int
        Objects per class, at most.

    Returns
    -------
    DataFrame
        Columns class, subclass, before, after, after by the loop.

    Examples
    --------
    >>> counts = pd.DataFrame({"classALeRCE": "SN", "subclassALeRCE": ["SNIa", "SLSN"], "objects": [9, 2]})
    >>> describe_levelling(counts, cap=6).to_csv(index=False).split()[-2:]
    ['SN,SNIa,9,4,4', 'SN,SLSN,2,2,2']
    """
    table = counts.rename(columns={"classALeRCE": "class", "subclassALeRCE": "subclass", "objects": "before"})
    ways = {"after": level_subclasses, "after by the loop": level_subclasses_by_loop}
    for _, part in table.groupby("class"):
        sizes = dict(zip(part["subclass"], part["before"].tolist(), strict=True))
        for column, level in ways.items():
            table.loc[part.index, column] = part["subclass"].map(level(sizes, cap))
    return table.astype(dict.fromkeys(ways, int))
