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
# **Question.** Which of a night's candidates are supernovae? A person inspects them and records a verdict.
#
# **In.** A night scored by notebook 16 or `twostamp tonight`. **Out.** `hunter/` in the run's folder: the verdicts of all
# its users, and the exported files. Verdicts are only ever added; a restarted kernel restores them all.
#
# `make hunter` opens this notebook in JupyterLab: run all cells, then classify with the keys. Candidates from a
# simulated survey are marked everywhere. The notebook sends nothing to any server.

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
pairs = run.data / "pairs.parquet"  # missing where the shipped classifier scored the night
training = read_metadata(pairs) if pairs.exists() else None
options = {"training": training, "at_least": scored.meta["keep_above"], "repeats": hunter_repeats, "seed": seed}
hunter = Hunter(scored, folder / "verdicts.sqlite", **options)
print(f"night {scored.night}: {len(hunter.candidates)} candidates", scored.mark and f"({scored.mark})")

# %% [markdown]
# ## Inspect
#
# The list shows p(SN) from the first alert → from the second, and the change; then age, magnitude, and rise since the
# last upper limit.
#
# | key | | key | |
# |---|---|---|---|
# | `j` `k` | next, previous | `b`, then `1` to `6` | bogus, of a kind |
# | `s` | SN | `c` | comment |
# | `n` | not SN | `z` | undo |
# | `u` | unsure | `?` | help |
#
# Click on the panel, or reach it with Tab, to give it the keys.

# %%
hunter.filter(hunter_query).show()

# %% [markdown]
# ## The same from Python
#
# Any [query](https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.query.html) on the columns filters the list.
# Its order is score, age, rise, informative, random, or a column. `hunter.blind()` hides the scores, and
# `hunter.verdict("SN")` records a verdict on the current candidate.

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
# ## Verdicts and agreement
#
# Two people can work independently and combine their files: `hunter.merge("verdicts_of_bo.sqlite")` adds what is
# missing. Some candidates are shown twice (`hunter_repeats`): the row that compares a person with herself measures how
# often she repeats her verdict.

# %%
print(hunter.progress())
hunter.final()

# %%
hunter.agreement()

# %%
hunter.disagreements()

# %% [markdown]
# ## Exports
#
# The CSV holds all candidates with the verdicts. Two more exports need verdicts:
#
# - `hunter.export("labels", folder / "labelled")` writes packets and labels. A run can train on them with `archive:
#   .../labelled/packets` and `labels: .../labelled/labels.csv`.
# - `hunter.export("tns", folder / "tns.json", reporting_group="...", reporter="...")` writes the report that *would* go
#   to the Transient Name Server. It checks the report, and lists what is refused and why. It sends nothing, and refuses
#   simulated candidates.

# %%
table = hunter.export("csv", folder / f"{scored.night}.csv")
print(f"{len(table)} candidates, {table['verdict'].notna().sum()} of them judged, are in hunter/{scored.night}.csv")
