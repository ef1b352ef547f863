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
# **Question.** Does the second alert really help? The thesis's answer rests on Welch tests over five seeds, on one split and
# on the validation set that also chose the models. What is left of it under a protocol that also lets the objects vary?
#
# **In.** The search of notebook 04 and the pairs of notebook 01. **Out.** The thesis's tests beside stricter ones, what a
# difference needs to be seen, which claims stand, and in an appendix the false-positive rate of every test on known truth.

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
# First from its own printed numbers, then on this run's repetitions: five seeds (here `n`), one split.

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
# The winners of notebook 04 (one stamp with the fair 26 metadata), trained again on splits drawn anew from the same objects:
# split, seed and order of the batches change together, and all models share each split. In quick the networks have a
# quarter of the width, and every figure says so.

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
# The models of notebook 04 on the test set, which chose nothing. McNemar and DeLong (supernova against the rest) compare
# the repetition of each model that is best on validation. Intervals of the other scores are of a bootstrap within each class,
# the same for all models, over the mean of the repetitions; their p exchanges the models' answers object by object.

# %%
predictions = predict_winners(winners, run.records, "test")
objects = significance.compare_on_objects(predictions)
compared = significance.compare_scores(predictions, bootstrap)
caption = "Scores on the test set: stratified bootstrap, exchange tests."
run.save_extra_table(compared, "scores", caption=caption)
objects.round(4)

# %% [markdown]
# Every class against the rest: areas under the ROC and the precision-recall curve.

# %%
curves = significance.tabulate_curves(predictions, bootstrap)
run.save_extra_table(curves, "curves", caption="Areas under the ROC and precision-recall curves by class, 95 %.")
curves.round(3)

# %% [markdown]
# ## All comparisons at once
#
# So many tests find something by chance. The three comparisons on repeated splits are what the thesis claims, and a family of
# their own for Holm's correction; all others are the second family.

# %%
everything = significance.correct_all(on_splits, objects, compared)
run.save_extra_table(everything, "comparisons", caption="All comparisons, with Holm's correction.")
fig = plot_comparisons(scores, everything)
run.save_extra_figure(fig, "comparisons", caption="Models on repeated splits, and their differences.")
everything.round(4)

# %% [markdown]
# ## Power
#
# What a difference needs to be found in 80 % of the cases: objects (McNemar, with the discordance seen here), repetitions
# (Welch, but for these objects only), repeated splits. More splits of the same objects do not replace objects.

# %%
spreads = significance.measure_spreads(scores, predictions)
power = make_power_table((0.005, 0.01, 0.014, 0.02, 0.05, 0.1), test_share=share, **spreads)
run.save_extra_table(power, "power", caption="What each difference of accuracy needs.")
power

# %% [markdown]
# And the thesis's own test sets: how many objects may two of its models disagree on before the exact McNemar test no longer
# sees the printed difference? It prints no counts of them, so the reader has to judge whether that is likely.

# %%
limits = significance.limit_discordance()
run.save_extra_table(limits, "thesis_limits", caption="Discordance that the thesis's differences can bear.")
limits.round(4)

# %% [markdown]
# ## What was found
#
# Fewer than five trainings of a model decide nothing.

# %%
claims = significance.check_claims(everything, on_splits, len(predictions.labels))
run.save_extra_table(claims, "claims_10", caption="The thesis's claims on this run's repeated splits.")
print(*summarise_claims(claims), sep="\n")

# %% [markdown]
# ## Appendix: what such tests are worth
#
# Worlds in which two classifiers are equally good by construction: every "difference" found is false. A test at 5 % should
# find one in 5 % of the worlds. Once with the sizes of the thesis (its training set cut to 150 objects a class), once with
# those of this run. How much noise the two models share decides the rates of the tests over seeds, so it is set to what
# makes them right on the same objects as often as this run's own two models are. Seeds only move the weights; that another
# sample of objects would have come out differently, a test over seeds cannot know.

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
