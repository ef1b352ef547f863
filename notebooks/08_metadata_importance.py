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
# # 08 Metadata importance
#
# **Question.** Which metadata contribute to the classification, and how much? What accuracy does a random forest reach
# on metadata alone, and the stacked classifier without metadata or with deltajd alone (sections 6.7 to 6.9)?
#
# **In.** The records of notebook 03 and the winner of notebook 04. **Out.** Figures 6.7 to 6.10, a table of the
# thesis's claims that hold, and the ledger's rows for sections 6.7 to 6.9 and 7.1.

# %%
from twostamp import inspection
from twostamp.analysis import metadata_importance
from twostamp.evaluation import format_repeats, report_mean_std
from twostamp.models import SearchResults
from twostamp.pipeline import open_run, record_numbers
from twostamp.plots.confusion import plot_confusions
from twostamp.plots.metadata_importance import plot_importance

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
metadata_recipe = "thesis"
forest_count = 20
forest_trees = 100
ablation_repetitions = 1
epochs = 20
workers = 2
report_weights = "last"

# %%
run = open_run("08_metadata_importance", globals())

# %% [markdown]
# ## Random forests on metadata alone
#
# The input is 26 features of each alert and ln deltajd, without stamps: 53 numbers per object (26 if a run has only
# first alerts). Forests with different seeds are fitted on the training set and evaluated on the test set. The spread
# is over forests, not over objects.

# %%
records = run.records
classes = records.info.classes
train, test = (records.arrays(split, features="thesis26") for split in ("train", "test"))
print(f"{len(train)} training and {len(test)} test objects, {inspection.stack_metadata(train).shape[1]} metadata")

# %%
size = {"count": run.params.forest_count, "trees": run.params.forest_trees, "n_jobs": run.params.workers}
forests = inspection.fit_forests(train, test, features="thesis26", n_classes=len(classes), seed=run.params.seed, **size)
forest_accuracy = format_repeats(forests.accuracies, digits=4)
n_forests = len(forests.accuracies)
shown = f"mean ± standard deviation of {n_forests} random forests" if n_forests > 1 else "one random forest"
print(f"accuracy on test {forest_accuracy}")

# %%
fig = plot_confusions({"test": forests.confusions}, classes)
run.save_figure(fig, "6.7", caption=f"Metadata alone on test: {shown}.", ours=forest_accuracy)
fig

# %%
report = report_mean_std(forests.confusions, classes)
run.save_extra_table(
    report, "forest_report", caption="Precision, recall and F1 of the random forests on test.", source="data"
)

# %%
run.record_number("6.7", "random forests", n_forests)
run.record_number("6.7", "trees per forest", run.params.forest_trees)
run.record_number("6.7", "random forest, accuracy (test)", forest_accuracy, note="a share, not per cent (T8)")

# %% [markdown]
# ## Which metadata
#
# The thesis ranks by the decrease of impurity. That measure favours features with many values, and divides the
# importance among correlated features. The second measure is the test accuracy lost when a feature is permuted between
# objects (T8).

# %%
fig = plot_importance(forests.importance)
run.save_figure(fig, "6.8", caption=f"Importance of metadata: {shown}.")
run.save_extra_table(
    forests.importance, "importance", caption="Importance of metadata by impurity and permutation.", source="data"
)

# %% [markdown]
# ## Claims of the thesis
#
# The thesis's claims are checked on this run. "Among the most important" means the first quarter of the ranking.

# %%
claims = metadata_importance.check_claims(forests.importance)
run.save_extra_table(
    claims, "importance_claims", caption="The thesis's claims on the importance of metadata.", source="data"
)
print(claims.to_string(index=False))

# %% [markdown]
# ## Stacked, without metadata, and with deltajd alone
#
# The best stacked combination of notebook 04 is trained again with fewer inputs: first the six stamps only, then the
# stamps and deltajd.

# %%
searched = SearchResults.read(run.require("search"), run.params.report_weights)
best = searched.of("stacked").best
variants = ("stacked_stamps", "stacked_stamps_deltajd")
trained = metadata_importance.train_ablations(variants, best, records, run.models, run.params, run.mark)
reason = "no stacked classifier was trained in this run"

# %%
accuracies = {variant: format_repeats(trials.accuracies("test")) for variant, trials in trained.items()}
figures = {
    variant: plot_confusions({split: trials.confusions(split) for split in ("validation", "test")}, classes)
    for variant, trials in trained.items()
}

# %%
if fig := figures.get("stacked_stamps"):
    note = f"test accuracy {accuracies['stacked_stamps']}"
    run.save_figure(
        fig, "6.9", caption=f"Stacked two-stamp classifier without metadata: {note}.", ours=accuracies["stacked_stamps"]
    )
else:
    run.missing("6.9", reason)
fig

# %%
if fig := figures.get("stacked_stamps_deltajd"):
    note = f"test accuracy {accuracies['stacked_stamps_deltajd']}"
    caption = f"Stacked classifier with stamps and deltajd: {note}."
    run.save_figure(fig, "6.10", caption=caption, ours=accuracies["stacked_stamps_deltajd"])
else:
    run.missing("6.10", reason)
fig

# %%
for variant, trials in trained.items():
    report = report_mean_std(trials.confusions("test"), classes)
    run.save_extra_table(report, variant, caption=f"Precision, recall and F1 on test, {variant}.")

# %% [markdown]
# ## The thesis's printed numbers

# %%
repetitions = run.params.ablation_repetitions if trained else None
numbers = [
    ("6.8", "repetitions without metadata", repetitions),
    ("6.8", "accuracy without metadata (test)", accuracies.get("stacked_stamps")),
    ("6.9", "repetitions with stamps and deltajd", repetitions),
    ("6.9", "accuracy with stamps and deltajd (test)", accuracies.get("stacked_stamps_deltajd")),
    ("7.1", "accuracy with stamps and deltajd (test)", accuracies.get("stacked_stamps_deltajd")),
]
record_numbers(run, numbers, reason)

# %% [markdown]
# ## What was found

# %%
print(f"random forest on metadata alone: {forest_accuracy} on test (thesis 0.9259 ± 0.0029)")
print(f"stacked with less: {accuracies or reason} (thesis 0.894 ± 0.004, with deltajd 0.913 ± 0.004)")
for name, trials in searched.winners().items():
    gain = trials.accuracies("test").mean() - forests.accuracies.mean()
    score = format_repeats(trials.accuracies("test"))
    print(f"{name} of notebook 04: {score}, {abs(gain):.3f} {'above' if gain > 0 else 'BELOW'} the forest")

# %%
held = claims.loc[claims["impurity holds"], "claim"]
print(f"claims that hold by impurity, {len(held)} of {len(claims)}: {'; '.join(held) or 'none'}")
print(f"claims that hold by permutation: {claims['permutation holds'].sum()} of {len(claims)}")
