# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 17 Supernova hunter
#
# **Question.** Which of a night's candidates are supernovae? A person looks at them, and says so.
#
# **In.** A night that notebook 16 (or `make tonight`) scored. **Out.** `hunter/` in the run's folder: the verdicts of everybody
# who hunts here, and what is exported. Verdicts are only ever added; a restarted kernel finds them all.
#
# `make hunter` opens this notebook in JupyterLab: run all cells, then hunt with the keys. Candidates of a simulated survey are
# marked as such everywhere, and nothing here sends anything anywhere.

# %%
from twostamp.data import read_metadata
from twostamp.hunter import Hunter
from twostamp.pipeline import open_run
from twostamp.stream import Night

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
night = ""
hunter_query = ""
hunter_repeats = 0.1

# %%
run = open_run("17_supernova_hunter", globals())
folder = run.root / "hunter"
scored = Night(run.root / "tonight" / "tonight.sqlite", night)
training = read_metadata(run.require("pairs.parquet"))
options = {"training": training, "at_least": scored.meta["keep_above"], "repeats": hunter_repeats, "seed": seed}
hunter = Hunter(scored, folder / "verdicts.sqlite", **options)
print(f"night {scored.night}: {len(hunter.candidates)} candidates", scored.mark and f"({scored.mark})")

# %% [markdown]
# ## Look
#
# The list shows p(SN) at the first alert → at the second, and the change; then age, magnitude, and rise from the last limit.
#
# | key | | key | |
# |---|---|---|---|
# | `j` `k` | next, previous | `b`, then `1` to `6` | bogus, of a kind |
# | `s` | SN | `c` | comment |
# | `n` | not SN | `z` | undo |
# | `u` | unsure | `?` | help |
#
# Click into the panel, or reach it with Tab, and the keys are its own.

# %%
hunter.filter(hunter_query).show()

# %% [markdown]
# ## The same from Python
#
# Any [query](https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.query.html) on the columns filters; score, age, rise,
# informative, random, or a column orders; `hunter.blind()` hides the scores. `hunter.verdict("SN")` judges what is looked at.

# %%
columns = ["object_id", "p_first", "p", "change", "age", "mag", "band", "rise"]
for order in ("score", "rise", "informative"):
    print(f"by {order}:")
    print(hunter.order(order).shown[columns].head(3).round(2).to_string(index=False))

# %%
young = hunter.filter("p_SN > 0.6 and n_alerts == 2 and age < 5 and not near_star").shown
print(f"{len(young)} are young, are probably SN, and have no star beside them")
_ = hunter.filter(hunter_query).order("score")
# %% [markdown]
# ## What was said
#
# Two people hunt on their own and put their files together: `hunter.merge("verdicts_of_bo.sqlite")` adds what is missing. Some
# candidates are shown twice (`hunter_repeats`): the row of a person with herself says how far she would say the same again.

# %%
print(hunter.progress())
hunter.final()

# %%
hunter.agreement()

# %%
hunter.disagreements()

# %% [markdown]
# ## What leaves
#
# The CSV holds all candidates with the verdicts. Two more are for when there are verdicts:
#
# - `hunter.export("labels", folder / "labelled")` writes packets and labels. A run learns from them with
#   `archive: .../labelled/packets` and `labels: .../labelled/labels.csv`.
# - `hunter.export("tns", folder / "tns.json", reporting_group="...", reporter="...")` writes what *would* be reported to the Transient
#   Name Server, checks it, and says what is refused and why. It sends nothing, and refuses what is simulated.

# %%
table = hunter.export("csv", folder / f"{scored.night}.csv")
print(f"{len(table)} candidates, {table['verdict'].notna().sum()} of them judged, are in hunter/{scored.night}.csv")
