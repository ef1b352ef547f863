"""Data card of a released data set: content, sources and known biases."""

from typing import Any

import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from twostamp.taxonomy import order_classes
from twostamp.utils.dates import longest_gap, night_of

LICENSE = "https://www.ztf.caltech.edu/ztf-public-releases.html"
_LICENSE_TEXT = f"ZTF's alerts are public data of ZTF/IPAC ({LICENSE}); whoever uses them acknowledges ZTF."
NOT_PUBLIC = "Some of these alerts are not public: they are data of ZTF's partnership (programid 2 or 3)."
_NOT_PUBLIC_TEXT = f"""\
**{NOT_PUBLIC} Give this data set only to who has a right to them.** The others are public data of ZTF/IPAC
({LICENSE}); whoever uses them acknowledges ZTF."""
SIMULATED_LICENSE = "https://spdx.org/licenses/MIT.html"
_SIMULATED_TEXT = f"""\
Not a single alert of ZTF: packets of a simulated survey in ZTF's schema, MIT ({SIMULATED_LICENSE})."""
ACKNOWLEDGEMENT = """\
Alerts: Zwicky Transient Facility, Samuel Oschin 48-inch Telescope, Palomar Observatory, supported by the National
Science Foundation under Grants AST-1440341 and AST-2034437 (Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019,
PASP 131, 018003; Patterson et al. 2019, PASP 131, 018001). Give the acknowledgement that ZTF's data release asks for.
Labels and API: ALeRCE (Förster et al. 2021, AJ 161, 242; Sánchez-Sáez et al. 2021, AJ 161, 141; Carrasco-Davis et al.
2021, AJ 162, 231). Method: J. Arredondo, thesis, USACH 2021."""


def count_objects(table: pd.DataFrame) -> pd.DataFrame:
    """Count objects by class, subclass and split."""
    counts = pd.crosstab([table["classALeRCE"], table["subclassALeRCE"]], table["split"].replace("", "not chosen"))
    counts["objects"] = counts.sum(axis=1)
    counts = counts.rename_axis(columns=None).reset_index()
    return counts.sort_values(["classALeRCE", "objects"], ascending=[True, False], ignore_index=True)


def _count_years(table: pd.DataFrame) -> pd.DataFrame:
    """Count objects by year of their first alert, with the median ``ncovhist``, which grows with the survey's age."""
    year = pd.Series([night_of(jd)[:4] for jd in table["jd_1"]], index=table.index, name="year")
    groups = table.groupby(year)["ncovhist_1"]
    return pd.DataFrame({"objects": groups.size(), "median ncovhist": groups.median()}).reset_index()


def measure_biases(table: pd.DataFrame) -> list[str]:
    """Measure the known biases on the metadata of the labelled pairs."""
    present = order_classes(table["classALeRCE"])
    days = table.groupby("classALeRCE")["deltajd"].median().reindex(present)
    spread = ", ".join(f"{name} {value:.3g} d" for name, value in days.items())
    ends = _count_years(table).iloc[[0, -1]]
    counted = " and ".join(f"{n:.0f} in {year}" for year, n in zip(ends["year"], ends["median ncovhist"]))
    gap = longest_gap({night_of(jd) for jd in table["jd_1"]})
    lines = [
        f"`deltajd` tells classes apart by how ZTF observes, not only by what they are. Medians: {spread}. The longest "
        f"stretch of nights without a first alert lasts {gap} days and stretches `deltajd` across it.",
        f"`ncovhist` drifts: it counts since the survey began (medians {counted}), and so do `ndethist` and what is "
        "derived from them.",
    ]
    asteroids = table[table["classALeRCE"] == "asteroid"]
    if len(asteroids):
        first, second = (SkyCoord(asteroids[f"ra_{n}"], asteroids[f"dec_{n}"], unit="deg") for n in (1, 2))
        lines.append(
            f"Asteroids move, so two alerts under one objectId are a selection: {len(asteroids)} of them repeat within "
            f"{np.median(first.separation(second).arcsec):.2f} arcsec and {asteroids['deltajd'].median():.3g} d "
            "(medians). Slow bodies are over-represented, and some may have passed where something else was detected."
        )
    return lines


def describe_rights(simulated: bool, not_public: int, partnership: bool) -> str:
    """Describe the rights in a data set, and the handling of objects with alerts of ZTF's partnership.

    Parameters
    ----------
    simulated : bool
    not_public : int
        Number of such objects in the run.
    partnership : bool
        Whether they are in the data set, or left out.
    """
    shared = bool(not_public and partnership)
    own = _SIMULATED_TEXT if simulated else _NOT_PUBLIC_TEXT if shared else _LICENSE_TEXT
    objects = f"{not_public} object{'s' * (not_public != 1)} with alerts of ZTF's partnership (programid 2 or 3)"
    verb, place = "is" if not_public == 1 else "are", "in here" if shared else "left out: they are not public"
    parts = [own, f"{objects} {verb} {place}." * bool(not_public), ACKNOWLEDGEMENT * (not simulated)]
    return "\n\n".join(filter(None, parts))


def write_card(
    name: str,
    mark: str,
    simulated: bool,
    table: pd.DataFrame,
    unlabelled: int,
    coverage: float,
    files: list[Any],
    rights: str,
) -> str:
    """Write the data card in Markdown.

    Parameters
    ----------
    name, mark : str
        Name of the run; the sentence on its figures.
    simulated : bool
    table : DataFrame
        Metadata of the labelled pairs, with split.
    unlabelled : int
        Unlabelled pairs in the data set.
    coverage : float
        Share of the sky's HEALPix pixels (nside 16) that hold an object.
    files : list of (path, bytes, SHA-256)
    rights : str
        Text from `describe_rights`.
    """
    warning = f"\n> **{mark}**\n" if mark else ""
    others = f" and {unlabelled} unlabelled ones" if unlabelled else ""
    nights = sorted({night_of(jd) for jd in table["jd_1"]})
    origin = "are those of the simulation" if simulated else "come from different sources; none is free of error"
    biases = "\n".join(f"- {line}" for line in [*measure_biases(table), f"Labels {origin}."])
    hashes = "\n".join(f"{digest}  {path}" for path, _, digest in files)
    return f"""# First two ZTF alerts of {len(table)} objects ({name})
{warning}
{len(table)} labelled objects{others}, one a row: six stamps (science, template and difference of the first and the
second alert, gzipped FITS), every field of `candidate` of both packets, and `deltajd`, the days between them.
`twostamp.data.release.open_dataset(folder)` reads it; so does anything that reads Parquet or Croissant.

First alerts from {nights[0]} to {nights[-1]}; Dec {table["dec_1"].min():.1f} to {table["dec_1"].max():.1f} deg;
{100 * coverage:.1f} % of the sky's pixels of 3.7 deg hold a labelled object.

## Objects

{_to_markdown(count_objects(table))}

{_to_markdown(_count_years(table))}

## Licence and acknowledgement

{rights}

## Known biases

{biases}

## Files

```
{hashes}
```
"""


def _to_markdown(table: pd.DataFrame) -> str:
    values = table.astype(object).to_numpy()
    rows = [[f"{value:g}" if isinstance(value, float) else str(value) for value in row] for row in values]
    head = [list(map(str, table)), *rows]
    lines = ["| " + " | ".join(row) + " |" for row in head]
    return "\n".join([lines[0], "|" + "---|" * len(table.columns), *lines[1:]])
