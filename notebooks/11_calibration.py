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
# **Question.** Does a probability of 0.9 mean nine in ten, what is it worth on a night that is not balanced, when should a
# classifier say that it cannot tell, and how many candidates does an astronomer look at for one true supernova, with one
# alert and with two?
#
# **In.** The models of notebook 04 and the predictions of notebook 07; nothing is trained. **Out.** Reliability diagrams,
# calibration scores, the mix of classes of a night, conformal sets with their coverage, and the astronomer's curve.

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
# Of one stamp (with the fair 26 metadata), stacked and separated the winner of notebook 04 with all its repetitions. What
# is fitted here is fitted on validation, and judged on test. Validation has also chosen the winners, so it flatters them a
# little; test has not been looked at by anything.

# %%
winners = SearchResults.read(run.require("search"), run.params.report_weights).winners(MODELS)
validation = predict_winners(winners, run.records, "validation")
test = predict_winners(winners, run.records, "test")
classes = test.classes
{model: [trial.trial_id for trial in trials.best_first()] for model, trials in winners.items()}

# %% [markdown]
# ## Does a probability mean what it says?
#
# Confidence against the share of right answers, for the best repetition as it is, and for the mean of the repetitions with a
# temperature. Grey bars hold 95 % of what a calibrated model shows: a mark within its bar is no objection. The expected
# calibration error (ECE) is never 0, so it stands beside that of a calibrated model with the same confidences.

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
# Models learn from balanced batches. On a night's real mix their probabilities have to be corrected by the mix, which one
# must know. Notebook 07's unlabelled objects say something of it: the shares under which the model's probabilities are most
# likely (`share`), or the shares that it calls each class (`called`). The first takes the probabilities at their word: what a
# temperature leaves of their miscalibration goes into the mix, and its interval, over the night's objects alone, does not
# hold it. A simulated survey knows the truth, and the errors of both are printed: neither is always the better one.

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
# The same beside each packaged model, for the night's answers of notebook 16: `calibration.json`, fitted on validation.

# %%
names = calibration.save_calibrations(run.models, run.records, mix["share"], coverage)
print(f"calibrated for a night: {', '.join(names)}")

# %%
best = "ensemble, temperature"
shifted = evaluation.compare_shifted(calibrated, test.labels, mix["share"], calibration_bins, best)
run.save_extra_table(shifted, "prior_shift", caption="Test objects weighted to the night's mix.")
shifted.round(3)

# %% [markdown]
# ## When to say "cannot tell"
#
# Conformal sets, class by class: the set of an object holds every class that is not too improbable for it, as measured on
# validation objects of that class. One class alone is an answer; none or several mean "cannot tell". The promise, that
# the sets hold the true class in at least the wanted share of the cases, is for every class and any mix, if validation has
# chosen nothing and new objects are like it. Here it chose the winners of notebook 04 where that tried more than one
# combination, which costs coverage (a point or two of the best of 70), and notebook 13 shows that years change objects.
# "Not refuted" says little of few objects: 25 of a class bear 0.76 to 1 where 0.9 is promised.

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
# ## The astronomer's curve
#
# Rank a night's new objects by the probability of supernova and look at them from the top: how many for each true one, when
# half of all supernovae are to be found, or 95 %? In the night's mix, and in one where supernovae are one in a hundred,
# which is an assumption. `fewer` is what the second alert saves against one alert; its interval is paired. Intervals hold
# the mix's own where it is an estimate, and, where no false one is seen, what few objects leave possible.

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
