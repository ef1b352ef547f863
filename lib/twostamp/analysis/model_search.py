"""Notebook 04: tables of the search."""

import pandas as pd

from twostamp.evaluation.metrics import format_mean_std

_HEADINGS = {
    "dropout_rate": "dr",
    "kernel_size": "ks",
    "learning_rate": "lr",
    "crop_size": "cs",
    "batch_size": "bs",
}
"""Hyper-parameters and their headings in Tables 6.1-6.3."""

_REMARKS = {"stamp_26": "ours: the metadata that M1 and M2 have", "stamp_alerce": "ours: ALeRCE's recipe"}
"""Rows of Table 6.1 that the thesis does not have."""


def format_search(ranked: pd.DataFrame, rows: int = 10) -> pd.DataFrame:
    """Format ranked combinations as Tables 6.1-6.3, with the values behind each "±".

    Parameters
    ----------
    ranked : DataFrame
        Table from `SearchResults.rank`, best first.
    rows : int
        Combinations kept per variant.

    Returns
    -------
    DataFrame
        dr, ks, lr, cs, bs, features (metadata per alert), both accuracies as text, n (repetitions). Rows that are not
        in the thesis have a remark. Then mean, std (ddof 0) and values of each accuracy.
    """
    best = ranked.groupby("variant").head(rows).reset_index(drop=True)
    table = best[[*_HEADINGS, "features"]].rename(columns=_HEADINGS)
    for split in ("validation", "test"):
        columns = (best[f"{split}_mean"], best[f"{split}_std"], best["n"])
        table[f"accuracy {split}"] = [format_mean_std(*row) for row in zip(*columns, strict=True)]
    table["n"] = best["n"]
    remarks = best["variant"].map(_REMARKS).fillna("")
    if remarks.any():
        table["remark"] = remarks
    return table.join(
        best[[f"{split}_{kind}" for split in ("validation", "test") for kind in ("mean", "std", "values")]]
    )
