"""Candidates of a night as one table, and their orders."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.features import ALL_FEATURES, PACKET_FIELDS, compute_features
from twostamp.hunter.light_curve import find_rise, read_light_curve
from twostamp.utils.typing import Floats, Floats32

ORDERS = {"score": False, "age": True, "rise": False, "informative": False, "random": True}
"""Special orders, and whether the smallest comes first; any column is an order too, smallest first."""
_KEYS = {"score": "p", "informative": "entropy"}


class ScoredNight(Protocol):
    """Interface of a night, which `twostamp.stream.Night` has."""

    night: str
    simulated: bool
    classes: tuple[str, ...]

    def answers(self) -> pd.DataFrame:
        """Return all revisions, by object and revision."""

    def packet(self, candid: int) -> bytes:
        """Return an alert as received: an Avro container."""

    def alert(self, candid: int) -> dict[str, Any]:
        """Decode an alert with its history and stamps."""


class HunterError(ValueError):
    """A request that the hunter cannot fulfil; the message is one sentence."""


def make_candidates(night: ScoredNight, target: str = "SN", at_least: float = 0.0) -> tuple[pd.DataFrame, Floats32]:
    """Make the table of a night's objects whose packets were kept.

    Parameters
    ----------
    night : ScoredNight
    target : str
        Wanted class.
    at_least : float
        Objects whose every prediction for `target` is lower are left out.

    Returns
    -------
    candidates : DataFrame
        The columns of `twostamp.stream.Night.latest`, and those below. Sorted by ``rank``, which is 1 for the highest
        probability of `target`. ``p`` is that probability, ``p_first`` the same at the first alert (NaN without a
        prediction there), and ``change`` their difference. ``entropy`` is that of the prediction, 0 to 1; a verdict
        teaches most where it is large. ``age`` is in days, from the first known detection to the latest alert. ``mag``
        and ``band`` are of the latest alert; ``rise`` is in mag/day (`find_rise`). ``seen_before`` means that the
        survey detected the object before these alerts; ``simulated`` marks simulated alerts.
    features : ndarray, shape (n, 2, len(ALL_FEATURES)), float32
        Features of both alerts; NaN without a second one.
    """
    if target not in night.classes:
        raise HunterError(f"no class is called {target!r}; the model has {', '.join(night.classes)}")
    answers = night.answers()
    first = answers[answers["n_alerts"] == 1].drop_duplicates("object_id", keep="last").set_index("object_id")
    table = answers.drop_duplicates("object_id", keep="last")
    highest = answers.groupby("object_id")[f"p_{target}"].max()
    table = table[table["has_packets"] & (table["object_id"].map(highest) >= at_least)]
    p, p_first = table[f"p_{target}"], table["object_id"].map(first[f"p_{target}"])
    table = table.assign(p=p, p_first=p_first, change=(p - p_first).where(table["n_alerts"] > 1))
    table["entropy"] = _entropy(table[[f"p_{name}" for name in night.classes]].to_numpy(float))
    table["rank"] = table["p"].rank(ascending=False, method="first").astype(int)
    table = table.sort_values("rank", ignore_index=True)
    measured, fields = [], []
    for row in tqdm(table.itertuples(), total=len(table), desc="packets", unit="object", disable=len(table) < 200):
        alerts = [night.alert(candid) for candid in list_candids(row)]
        measured.append(_measure(row, read_light_curve(alerts[-1:])))
        fields.append([{name: alert["candidate"].get(name) for name in PACKET_FIELDS} for alert in alerts])
    table = table.join(pd.DataFrame(measured, columns=["age", "mag", "band", "rise"]))
    return table.assign(seen_before=table["first_unseen"], simulated=night.simulated), _compute_features(fields)


def list_candids(row: Any) -> list[int]:
    """List the candids of the alerts of a row, the earlier first."""
    return [int(candid) for candid in (row.candid_1, row.candid_2) if not pd.isna(candid)]


def sort_candidates(table: pd.DataFrame, by: str, seed: int = 0, ascending: bool | None = None) -> pd.DataFrame:
    """Sort by one of `ORDERS` or a column; rows without a value come last.

    Raises
    ------
    HunterError
        There is no such order or column.
    """
    if by == "random":
        return table.sample(frac=1, random_state=seed)
    column = _KEYS.get(by, by)
    if column not in table:
        raise HunterError(f"there is no order {by!r}; there are {', '.join(ORDERS)}, and the columns")
    rising = ORDERS.get(by, True) if ascending is None else ascending
    return table.sort_values(column, ascending=rising, na_position="last", kind="stable")


def filter_candidates(table: pd.DataFrame, query: str) -> pd.DataFrame:
    """Keep the rows that match a pandas query, for example ``p_SN > 0.6 and n_alerts == 2``; all without a query.

    Raises
    ------
    HunterError
        The text is no query, or names no column.
    """
    if not query.strip():
        return table
    try:
        kept = table.query(query)
    except Exception as error:  # pandas, numexpr and Python's parser raise many kinds of errors
        raise HunterError(f"the query {query!r} cannot be evaluated: {str(error) or type(error).__name__}") from None
    if not isinstance(kept, pd.DataFrame):
        raise HunterError(f"the query {query!r} is not true or false of a candidate")
    return kept


def place_repeats(order: Sequence[int], share: float, seed: int = 0) -> tuple[list[int], list[bool]]:
    """Show a share of the candidates a second time, each some places after its first.

    Parameters
    ----------
    order : sequence of int
        Rows in the order of display.
    share : float
        0 to 1.
    seed : int

    Returns
    -------
    order, repeated : list
        Extended order, and whether each place in it is a repeat.

    Examples
    --------
    >>> order, repeated = place_repeats(range(20), 0.1)
    >>> len(order), sum(repeated), sorted(row for row, again in zip(order, repeated) if not again) == list(range(20))
    (22, 2, True)
    """
    rng = np.random.default_rng(seed)
    behind = min(10.0, len(order) / 2)
    places: list[tuple[float, int, bool]] = [(place, row, False) for place, row in enumerate(order)]
    for place in rng.choice(len(order), round(share * len(order)), replace=False):
        places.append((place + behind + 0.5 + rng.integers(0, 10), order[place], True))
    places.sort(key=lambda entry: entry[0])
    return [row for _, row, _ in places], [again for _, _, again in places]


def _entropy(p: Floats) -> Floats:
    return -np.sum(p * np.log(np.maximum(p, 1e-12)), axis=1) / np.log(p.shape[1])


def _compute_features(fields: list[list[dict[str, Any]]]) -> Floats32:
    features = np.full((len(fields), 2, len(ALL_FEATURES)), np.nan, np.float32)
    for alert in (0, 1):
        rows = [row for row, alerts in enumerate(fields) if len(alerts) > alert]
        if rows:
            table = pd.DataFrame([fields[row][alert] for row in rows]).add_suffix("_1")
            features[rows, alert] = compute_features(table, 1)
    return features


def _measure(row: Any, curve: pd.DataFrame) -> tuple[float, float, str, float]:
    """Measure age, magnitude, band and rise of one candidate."""
    first, *_, last = np.flatnonzero(curve["mag"].notna()).tolist() * 2  # its own detection is always present
    age, mag, band = row.jd - curve["jd"].iloc[first], curve["mag"].iloc[last], curve["band"].iloc[last]
    return float(age), float(mag), str(band), find_rise(curve)
