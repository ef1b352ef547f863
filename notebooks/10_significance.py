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
# # 10 Significance
#
# **Question.** Does the second alert really help? The thesis answers with Welch tests over five seeds, on one split and
# on the validation set that also chose the models. Does its answer survive a protocol in which the objects vary too?
#
# **In.** The search of notebook 04 and the pairs of notebook 01. **Out.** The thesis's tests next to stricter ones, the
# data needed to detect a difference, and the claims that hold. An appendix measures the false-positive rate of every
# test on known truth.

# %%
from twostamp.analysis import model_comparison, significance
from twostamp.evaluation import Bootstrap, make_power_table, summarise_claims
from twostamp.models import SearchResults, predict_winners
from twostamp.pipeline import open_run
from twostamp.plots.significance import plot_comparisons, plot_false_positives
from twostamp.thesis import MODELS

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
width = 0.25
repeated_splits = 4
bootstrap_resamples = 2000
equivalence_margin = 0.01
null_worlds = 100
epochs = 20
workers = 2
report_weights = "last"

# %%
run = open_run("10_significance", globals())
bootstrap = Bootstrap(bootstrap_resamples, seed)

# %% [markdown]
# ## The thesis's tests as they are
#
# The tests are computed first from the thesis's printed numbers, then from this run's repetitions: five seeds (here
# `n`), one split.

# %%
printed = model_comparison.make_thesis_table()
printed.style.format("{:.3e}", subset=["printed", *printed.columns[3:]]).hide()

# %%
results = SearchResults.read(run.require("search"), run.params.report_weights)
best = results.rank(1, model_comparison.MODELS.values())
model_comparison.compare_winners(best, "validation").drop(columns="set").style.format(precision=4).hide()

# %% [markdown]
# ## Repeated splits
#
# The winners of notebook 04 (one stamp with the same 26 metadata as two) are trained again on new splits of the same
# objects. Split, seed and order of the batches change together; all models share each split. In quick the networks have
# a quarter of the width, and every figure states it.

# %%
winners = results.winners(MODELS)
combinations = {model: trials[0].hyperparameters for model, trials in winners.items()}
source = run.require("pairs.parquet" if run.params.training_alerts == "pairs" else "first_alerts.parquet")
scores, share = significance.train_splits(source, combinations, run.models / "splits", run.params)

# %%
on_splits = significance.compare_on_splits(scores, share, equivalence_margin)
run.save_extra_table(on_splits, "splits", caption="Models over repeated splits (Nadeau and Bengio).")
on_splits.round(4)

# %% [markdown]
# ## Object by object
#
# The models of notebook 04 are compared on the test set, which was used for no choice. McNemar's and DeLong's tests
# (supernova against the rest) use the repetition of each model that is best on validation.
#
# The other scores are means over the repetitions. Their intervals come from a bootstrap within each class, with the
# same draws for all models. Their p-values come from a permutation test that exchanges the models' predictions object
# by object.

# %%
predictions = predict_winners(winners, run.records, "test")
objects = significance.compare_on_objects(predictions)
compared = significance.compare_scores(predictions, bootstrap)
caption = "Scores on the test set: stratified bootstrap, exchange tests."
run.save_extra_table(compared, "scores", caption=caption)
objects.round(4)

# %% [markdown]
# The table gives the areas under the ROC and precision-recall curves of each class against the rest.

# %%
curves = significance.tabulate_curves(predictions, bootstrap)
run.save_extra_table(curves, "curves", caption="Areas under the ROC and precision-recall curves by class, 95 %.")
curves.round(3)

# %% [markdown]
# ## All comparisons at once
#
# Among so many tests some differences appear by chance, so p-values are corrected with Holm's method in two families.
# The three comparisons on repeated splits test the thesis's claims and form the first. All others form the second.

# %%
everything = significance.correct_all(on_splits, objects, compared)
run.save_extra_table(everything, "comparisons", caption="All comparisons, with Holm's correction.")
fig = plot_comparisons(scores, everything)
run.save_extra_figure(fig, "comparisons", caption="Models on repeated splits, and their differences.")
everything.round(4)

# %% [markdown]
# ## Power
#
# The table gives the sample that detects each difference in 80 % of cases. It counts objects (McNemar, with the
# discordance observed here), repetitions (Welch, valid only for these objects) and repeated splits. More splits of the
# same objects do not replace objects.

# %%
spreads = significance.measure_spreads(scores, predictions)
power = make_power_table((0.005, 0.01, 0.014, 0.02, 0.05, 0.1), test_share=share, **spreads)
run.save_extra_table(power, "power", caption="What each difference of accuracy needs.")
power

# %% [markdown]
# The same question applies to the thesis's test sets. On how many objects may two models disagree before the exact
# McNemar test no longer detects the printed difference? The thesis prints no such counts, so readers have to decide
# whether that many are plausible.

# %%
limits = significance.limit_discordance()
run.save_extra_table(limits, "thesis_limits", caption="Discordance that the thesis's differences can bear.")
limits.round(4)

# %% [markdown]
# ## What was found
#
# Fewer than five trainings of a model never give a verdict.

# %%
claims = significance.check_claims(everything, on_splits, len(predictions.labels))
run.save_extra_table(claims, "claims_10", caption="The thesis's claims on this run's repeated splits.")
print(*summarise_claims(claims), sep="\n")

# %% [markdown]
# ## Appendix: false-positive rates of these tests
#
# In each simulated experiment two classifiers are equally good by construction, so every "difference" found is false. A
# test at 5 % should find one in 5 % of the experiments. One set has the thesis's validation and test sets, and
# 150 training objects per class; the other has the sizes of this run. Tests that correct for the share of test objects
# see a larger one here than in the thesis.
#
# The error rates of tests over seeds depend on how much noise the two models share. That share is set so that both are
# right on the same objects as often as this run's own two models. Seeds only change the weights. A test over seeds
# cannot measure how much the result varies between samples of objects.

# %%
likeness = significance.measure_likeness(predictions)
rates = significance.measure_false_positives(run.params, likeness)
fig = plot_false_positives(rates)
caption = f"Share of {null_worlds} worlds with equal models in which each procedure finds a difference at 5 %."
made_from = {"note": f"random numbers; correlation of being right {likeness:.2f}", "source": "code"}
run.save_extra_figure(fig, "false_positives", caption=caption, **made_from)

# %%
for title, table in rates.items():
    name = f"false_positives_{title.split()[-1]}"
    run.save_extra_table(table, name, caption=f"False-positive rates, {title}.", **made_from)
worth = significance.claim_rates(rates)
run.save_extra_table(worth, "claims_10b", caption="False differences of every procedure.", **made_from)
print(*summarise_claims(worth), sep="\n")
