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
# # 11 Calibration
#
# **Question.** Is a prediction with a probability of 0.9 right nine times in ten? Does that hold on a night whose
# classes are not balanced, and when should a classifier return "cannot tell"? How many candidates must an astronomer
# inspect per true supernova, with one alert and with two?
#
# **In.** The models of notebook 04 and the predictions of notebook 07; nothing is trained. **Out.** Reliability
# diagrams, calibration scores, the class mix of a night, conformal sets with their coverage, and the number of
# candidates to inspect.

# %%
import pandas as pd

from twostamp import evaluation
from twostamp.analysis import calibration
from twostamp.models import SearchResults, predict_winners
from twostamp.pipeline import open_run
from twostamp.plots.calibration import plot_candidates, plot_coverage, plot_reliability
from twostamp.thesis import MODELS

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
bootstrap_resamples = 2000
calibration_bins = 10
coverage = 0.9
night_mix = {}
metadata_recipe = "thesis"
report_weights = "last"

# %%
run = open_run("11_calibration", globals())
bootstrap = evaluation.Bootstrap(bootstrap_resamples, seed)

# %% [markdown]
# ## The models
#
# The models are the winners of notebook 04, with all repetitions: one stamp (with the same 26 metadata as two), stacked
# and separated. Everything fitted here is fitted on validation and evaluated on test. Validation also chose the
# winners, so its scores are slightly optimistic; the test set was used for no choice.

# %%
winners = SearchResults.read(run.require("search"), run.params.report_weights).winners(MODELS)
validation = predict_winners(winners, run.records, "validation")
test = predict_winners(winners, run.records, "test")
classes = test.classes
{model: [trial.trial_id for trial in trials.best_first()] for model, trials in winners.items()}

# %% [markdown]
# ## Are the probabilities calibrated?
#
# The diagrams show accuracy against confidence for the best repetition, uncorrected, and for the mean of the
# repetitions with a temperature. Grey bars span 95 % of what a calibrated model would show: a mark inside its bar is
# consistent with calibration. The expected calibration error (ECE) is never 0, so the table also gives that of a
# calibrated model with the same confidences.

# %%
calibrated = evaluation.calibrate(validation, test)
fig = plot_reliability(calibrated, test.labels, calibration_bins)
run.save_extra_figure(fig, "reliability", caption=f"Reliability on {len(test.labels)} test objects; grey: calibrated.")

# %%
scores = evaluation.tabulate_calibration(calibrated, test.labels, calibration_bins, bootstrap)
run.save_extra_table(scores, "calibration", caption="Accuracy, ECE, Brier score and negative log-likelihood on test.")
scores.loc[:, ~scores.columns.str.contains(" low| high")].round(3)

# %% [markdown]
# ## A night is not balanced
#
# Models train on balanced batches. On a night's real mix, their probabilities must be corrected by that mix. Notebook
# 07's unlabelled objects give two estimates of it. `share` holds the shares under which the model's probabilities are
# most likely, `called` the shares of objects that it assigns to each class.
#
# The first estimate assumes calibrated probabilities. Miscalibration that a temperature leaves enters the mix, and the
# interval, which is over the night's objects only, does not include it. In a simulated survey the truth is available,
# and the errors of both are printed. Neither is always the better one.

# %%
reference = "M1" if "M1" in winners else next(iter(winners))
temperature = evaluation.fit_temperature(validation.probabilities[reference][0], validation.labels)
truth = run.data / "survey" / "truth.csv" if run.simulated else None
found = calibration.choose_mix(run.data / "predictions.parquet", temperature, classes, run.params, truth)
mix, drawn_mixes, origin = found
run.save_extra_table(mix, "night_mix", caption=f"Classes among a night's new objects: {origin}.")
print(f"the mix is {origin}; {calibration.summarise_mix(mix)}")
mix.round(3)

# %% [markdown]
# The correction is also saved with each packaged model, for the predictions of notebook 16: `calibration.json`, fitted
# on validation.

# %%
names = calibration.save_calibrations(run.models, run.records, mix["share"], coverage)
print(f"calibrated for a night: {', '.join(names)}")

# %%
best = "ensemble, temperature"
shifted = evaluation.compare_shifted(calibrated, test.labels, mix["share"], calibration_bins, best)
run.save_extra_table(shifted, "prior_shift", caption="Test objects weighted to the night's mix.")
shifted.round(3)

# %% [markdown]
# ## When to return "cannot tell"
#
# Conformal sets are built class by class. The set of an object holds every class that is not too improbable for it, as
# measured on validation objects of that class. A set with exactly one class is a prediction; an empty or larger set
# means "cannot tell".
#
# For every class and any mix, the sets should hold the true class at least as often as the coverage asked for. This
# guarantee requires that validation was used for no choice and that new objects resemble it. If notebook 04 tried more
# than one combination, validation chose its winners, which costs coverage (a point or two for the best of 70). Notebook
# 13 shows that objects change over the years.
#
# "Not refuted" is weak evidence with few objects: 25 objects of a class are consistent with 0.76 to 1 where 0.9 was
# asked for.

# %%
tables = evaluation.check_conformal_sets(validation, test, coverage)
covered = pd.concat(tables, names=["model"]).reset_index("model")
run.save_extra_table(covered, "conformal", caption=f"Conformal sets on test, {coverage:.0%} promised for each class.")
covered.round(3)

# %%
fig = plot_coverage(tables, coverage)
caption = (
    f"Coverage of conformal sets ({coverage:.0%} promised; grey: where it lies in 95 % of the cases), and no answer."
)
run.save_extra_figure(fig, "conformal", caption=caption)

# %% [markdown]
# ## Candidates to inspect per supernova
#
# Rank a night's new objects by the probability of supernova and inspect them from the top. How many are inspected per
# true supernova when half of all supernovae are found, or 95 %? The curves use the night's mix, and one in which
# supernovae are one in a hundred, which is an assumption.
#
# `fewer` is what the second alert saves against one alert; its interval is paired. If the mix is an estimate, the
# intervals include its uncertainty. If no false candidate is found, they include what a small sample leaves possible.

# %%
wanted, shares = classes.index("SN"), mix["share"].to_numpy()
mixes = {"night's mix": (shares, drawn_mixes)}
mixes["supernovae 1 in 100 (assumed)"] = (evaluation.make_rare(shares, wanted, 0.01), None)
ranked = {model: methods[best] for model, methods in calibrated.items()}
curves = {
    title: evaluation.tabulate_candidates(ranked, test.labels, values, wanted, bootstrap, drawn)
    for title, (values, drawn) in mixes.items()
}

# %%
fig = plot_candidates(curves)
run.save_extra_figure(fig, "candidates", caption="Candidates looked at per true supernova; bands of 95 %.")
table = pd.concat(curves, names=["mix"]).reset_index("mix")
run.save_extra_table(table, "candidates", caption="Candidates looked at per true supernova, one alert against two.")
table.round(2)

# %% [markdown]
# ## What was found

# %%
print(f"mix: {', '.join(f'{name} {share:.0%}' for name, share in zip(classes, mix['share']))}; {origin}")
print("\n".join(calibration.summarise_candidates(curves)))
verdicts = covered[covered["class"] != "all"]["verdict"].value_counts().to_dict()
print(f"conformal sets, {coverage:.0%} promised: {verdicts}")
print(
    *(f"{r['model']}, {r['method']}: ECE {r['ECE']:.3f}, {r['calibration']}" for r in scores.to_dict("records")),
    sep="\n",
)
