"""Label file of thesis section 3.1.4, assembled from several sources, with the provenance of every label."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from twostamp.data.label_files import read_column, read_label_csv
from twostamp.taxonomy import CLASSES, LABEL_COLUMNS, is_empty, map_label

PROVENANCE_COLUMNS = [*LABEL_COLUMNS, "source", "state"]
STATES = ("kept", "repeated", "less specific", "conflicting", "without a class", "without an object", "outranked")


def read_bogus_csv(path: str | Path, column: str = "objectId") -> pd.DataFrame:
    """Read a list of bogus objects; errors as in `read_label_csv`."""
    return label_objects(read_column(path, column), "bogus")


def read_bogus_reports(
    path: str | Path, columns: Mapping[str, str] | None = None, min_astronomers: int = 2
) -> pd.DataFrame:
    """Read the objects that enough astronomers reported as bogus, as `LABEL_COLUMNS`; one report per row.

    Parameters
    ----------
    columns : mapping, optional
        objectId and astronomer -> the file's names; with verdict, only rows whose verdict is ``bogus`` count.
    """
    names = {"objectId": "objectId", "astronomer": "astronomer"} | dict(columns or {})
    reports = pd.DataFrame({name: read_column(path, column).str.strip() for name, column in names.items()})
    if "verdict" in reports:
        reports = reports[reports["verdict"].str.lower() == "bogus"]
    reports = reports[(reports["objectId"] != "") & (reports["astronomer"] != "")]
    astronomers = reports.groupby("objectId")["astronomer"].nunique()
    return label_objects(pd.Series(astronomers.index[astronomers >= min_astronomers]), "bogus")


def label_objects(object_ids: pd.Series, label: str) -> pd.DataFrame:
    """Make a label table that gives objects one label, asteroid or bogus."""
    return pd.DataFrame({"objectId": object_ids.astype(str), "classALeRCE": label, "subclassALeRCE": label})


def assemble_labels(
    sources: Mapping[str, pd.DataFrame], opinions: Mapping[str, pd.DataFrame] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join labels of several sources into one label per object (section 3.1.4, Table 3.3, D5).

    An object with two classes, or two subclasses of one, is dropped, since either may be right. A bare class yields
    to a subclass of it. What a classifier predicts (`opinions`) counts only where there is no other label.

    Parameters
    ----------
    sources, opinions : mapping
        Name -> table of `LABEL_COLUMNS`, in any spelling that `twostamp.taxonomy.map_label` takes.

    Returns
    -------
    labels : DataFrame
        Table 3.4: `LABEL_COLUMNS`, one row an object, sorted by objectId.
    provenance : DataFrame
        `PROVENANCE_COLUMNS`: every row read, its source, and its state, one of `STATES`.

    Raises
    ------
    ValueError
        If a label is unknown; the message names the source.

    Examples
    --------
    >>> mine = pd.DataFrame({"objectId": ["a", "b"], "classALeRCE": "SN", "subclassALeRCE": ["", "SNIa"]})
    >>> labels, provenance = assemble_labels({"mine": mine, "bogus": label_objects(pd.Series(["b"]), "bogus")})
    >>> labels.to_numpy().tolist(), provenance["state"].tolist()
    ([['a', 'SN', 'SN-unspecified']], ['kept', 'conflicting', 'conflicting'])
    """
    opinions = opinions or {}
    tables = [
        _canonical(name, table).assign(opinion=group is opinions)
        for group in (sources, opinions)
        for name, table in group.items()
    ]
    empty = pd.DataFrame(columns=[*LABEL_COLUMNS, "source", "opinion"])
    rows = pd.concat(tables or [empty], ignore_index=True)
    rows["state"] = _find_states(rows)
    kept = rows[rows["state"] == "kept"]
    labels = kept[LABEL_COLUMNS].sort_values("objectId", ignore_index=True)
    return labels, rows[PROVENANCE_COLUMNS].sort_values(["objectId", "source"], kind="stable", ignore_index=True)


def _canonical(source: str, table: pd.DataFrame) -> pd.DataFrame:
    """Give a table canonical names, or raise an error with all unknown names and their numbers of rows."""
    table = table[LABEL_COLUMNS].fillna("").astype(str)
    pairs = list(zip(table["classALeRCE"], table["subclassALeRCE"]))
    names: dict[tuple[str, str], tuple[str, str]] = {}
    unknown = []
    for pair, n in Counter(pairs).most_common():
        try:
            names[pair] = ("", "") if all(map(is_empty, pair)) else map_label(*pair)
        except ValueError as error:
            unknown.append(f"{str(error).partition(':')[0]} ({n} {'row' if n == 1 else 'rows'})")
    if unknown:
        classes, known = ", ".join(CLASSES), "the subclasses those of twostamp.taxonomy"
        raise ValueError(f"labels of {source}: {', '.join(sorted(unknown))}; the classes are {classes}, {known}")
    mapped = pd.DataFrame([names[pair] for pair in pairs], columns=LABEL_COLUMNS[1:], index=table.index)
    return pd.concat([table[["objectId"]], mapped], axis=1).assign(source=source)


def _find_states(rows: pd.DataFrame) -> pd.Series:
    """Find the state of every row: the first reason that applies."""
    state = pd.Series("", index=rows.index, dtype=object)
    state[rows["objectId"] == ""] = "without an object"
    state[(state == "") & (rows["classALeRCE"] == "") & (rows["subclassALeRCE"] == "")] = "without a class"
    opinion = rows["opinion"].astype(bool)
    known = set(rows.loc[~opinion, "objectId"])
    state[(state == "") & opinion & rows["objectId"].isin(known)] = "outranked"
    # CV/Nova counts as a label when labels are compared, but has no class when they are used.
    bare = (rows["subclassALeRCE"] == "") | rows["subclassALeRCE"].str.endswith("-unspecified")
    open_rows = state == ""
    specific = set(zip(rows.loc[open_rows & ~bare, "objectId"], rows.loc[open_rows & ~bare, "classALeRCE"]))
    keys = pd.Series(list(zip(rows["objectId"], rows["classALeRCE"])), index=rows.index, dtype=object)
    state[open_rows & bare & keys.isin(specific)] = "less specific"
    left = rows[state == ""]
    different = left.drop_duplicates(LABEL_COLUMNS)["objectId"].value_counts()
    conflicts = set(different.index[different > 1])
    state[(state == "") & rows["objectId"].isin(conflicts)] = "conflicting"
    state[(state == "") & (rows["classALeRCE"] == "")] = "without a class"
    state[(state == "") & rows.where(state == "")["objectId"].duplicated()] = "repeated"
    state[state == ""] = "kept"
    return state


def count_provenance(provenance: pd.DataFrame) -> pd.DataFrame:
    """Count rows by source and state; the states of a source sum to its rows."""
    counts = pd.crosstab(provenance["source"], provenance["state"]).reindex(columns=list(STATES), fill_value=0)
    counts.insert(0, "rows", counts.sum(axis=1))
    return counts.rename_axis(columns=None).reset_index()


def read_labels(path: str | Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read a label file in the form of thesis Table 3.4 and clean it, by the rules of `assemble_labels`.

    Parameters
    ----------
    path : str or Path
        CSV or Parquet with the columns objectId, classALeRCE, subclassALeRCE (others are ignored), see
        `twostamp.data.label_files.read_label_csv`.

    Returns
    -------
    labels : DataFrame
        The three columns, one row an object, sorted by objectId, canonical names.
    counts : dict
        Rows read, kept, and dropped by reason; kept + dropped = read.

    Raises
    ------
    ValueError
        If a column is missing, classes or subclasses are unknown, or no row is a label; the message names the file and
        all of them.
    """
    table = read_label_csv(path)
    labels, provenance = assemble_labels({str(path): table})
    states = provenance["state"].value_counts()
    without_class = provenance["state"] == "without a class"
    nova = int((without_class & (provenance["subclassALeRCE"] != "")).sum())
    counts = {
        "rows read": len(table),
        "kept": len(labels),
        "no object or class": int(states.get("without an object", 0) + without_class.sum() - nova),
        "repeated rows": int(states.get("repeated", 0)),
        "conflicting labels": int(states.get("conflicting", 0)),
        "CV/Nova, which has no class": nova,
    }
    if less := int(states.get("less specific", 0)):
        counts["a class, where others name its subclass"] = less
    if labels.empty:
        raise ValueError(f"{path} labels no object: {_list_counts(counts)}")
    return labels, counts


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n or what == "rows read")
