"""What the thesis prints: its items (``thesis_items.csv``), and the numbers of Table 6.4."""

from functools import cache
from importlib import resources

import pandas as pd

STAMP, STACKED, SEPARATED = "M0", "M1", "M2"
"""Names of the architectures in the thesis's tables."""

MODELS = {STAMP: "stamp_26", STACKED: "stacked", SEPARATED: "separated"}
"""One stamp with the 26 metadata that the two-stamp models have for each alert (M10), stacked, separated."""

PAIRS = ((STAMP, STACKED), (STAMP, SEPARATED), (SEPARATED, STACKED))
"""Comparisons of Table 6.4, the model said to be worse first. The thesis names no side for stacked against separated;
the one-sided "separated is worse" comes near its p (T6)."""

REPETITIONS = 5
OBJECTS = {"validation": 1000, "test": 500}

INFERENCE = {STAMP: "0.970 ± 0.099", STACKED: "1.050 ± 0.181", SEPARATED: "1.740 ± 0.304"}
"""Milliseconds an object, as Table 6.4 prints them."""


@cache
def read_catalogue() -> pd.DataFrame:
    """Read what the thesis holds: one row an item.

    Returns
    -------
    DataFrame
        Columns id, kind (figure, table, algorithm, number), title, title_es, notebook, source (data, networks, code,
        third-party), thesis, note; all text.

    Examples
    --------
    >>> catalogue = read_catalogue()
    >>> int((catalogue["kind"] != "number").sum())
    67
    """
    with resources.files("twostamp").joinpath("thesis_items.csv").open() as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def read_printed(item: str, kind: str, title: str = "") -> str:
    """Read what the thesis prints for one item, as text.

    Examples
    --------
    >>> read_printed("6.4", "number", "significance level")
    '0.05'
    """
    items = read_catalogue()
    chosen = (items["id"] == item) & (items["kind"] == kind) & ((items["title"] == title) | (not title))
    return str(items.loc[chosen, "thesis"].item())


ACCURACY = {
    model: {"validation": read_printed(item, "table"), "test": read_printed(item, "figure")}
    for model, item in zip(MODELS, ("6.1", "6.2", "6.3"), strict=True)
}
"""Mean ± standard deviation of the accuracies of Table 6.4, as printed."""

P_TITLES = {
    pair: f"Welch p, {comparison} (validation)"
    for pair, comparison in zip(PAIRS, ("stamp < stacked", "stamp < separated", "stacked against separated"))
}
P_VALUES = {pair: read_printed("6.4", "number", title) for pair, title in P_TITLES.items()}
"""Values of p of Table 6.4, as printed, and their titles in the catalogue."""


def parse_accuracy(model: str, split: str) -> tuple[float, float]:
    """Mean and standard deviation of `ACCURACY` as numbers.

    Examples
    --------
    >>> parse_accuracy("M1", "test")
    (0.937, 0.003)
    """
    mean, std = ACCURACY[model][split].split(" ± ")
    return float(mean), float(std)
