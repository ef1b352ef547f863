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
# # 12 Value of the second alert
#
# **Question.** A broker has one alert first, and a second one later. What does the second change, for whom, and when does it
# do harm? And how far does the answer lean on `deltajd`, which bad weather lengthens (the thesis's own worry, section 6.11)?
#
# **In.** The search of notebook 04 and the run's TFRecords. **Out.** One classifier that takes one alert *or* two beside
# those that are trained for one of the cases, its revisions by class, by deltajd and in time, what the gain is made of, and
# the accuracy of all under weather gaps, learned in training and not.

# %%
from twostamp.analysis import second_alert
from twostamp.data import read_metadata
from twostamp.evaluation import Bootstrap, summarise_claims
from twostamp.models import SearchResults, package_winners
from twostamp.pipeline import open_run
from twostamp.plots import second_alert as plots

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
width = 0.25
hide_second = 0.5
cadence_share = 0.5
cadence_gap = 60.0
revision_repetitions = 2
gap_nights = [1, 3, 10, 30]
bootstrap_resamples = 2000
equivalence_margin = 0.01

# %%
run = open_run("12_second_alert", globals())
bootstrap = Bootstrap(bootstrap_resamples, seed)

# %% [markdown]
# ## The classifiers
#
# All are trained anew on the run's training set, at one width and with the hyper-parameters that won in notebook 04. *One or
# two* is a separated classifier whose second branch, with deltajd, is multiplied by an input that says whether there is a
# second alert; in training half of the objects of every step have theirs hidden. Where *gaps* are *learned*, in the second half of
# the training half of the objects of every step get a weather gap added to the days between their alerts, its logarithm
# uniform from one night on. The thesis trains without either.

# %%
records = run.records
results = SearchResults.read(run.require("search"), run.params.report_weights)
combinations = second_alert.choose_combinations(results)
trained = second_alert.train_classifiers(combinations, records, run.models / "revision", run.params)
{model: trials.accuracies("test").round(3).tolist() for model, trials in trained.items()}

# %%
stresses = second_alert.list_stresses(gap_nights)
seen = second_alert.predict_views(trained, records, stresses)
both, alone = seen[second_alert.UNDISTURBED], seen[second_alert.FIRST_ALONE]

# %% [markdown]
# ## One model for both cases
#
# What does it cost that one network answers with one alert and with two? Each against the classifier that is trained for
# the case. Intervals are of 95 %, over objects and repetitions together.

# %%
joint = [("one", "one or two", "one alert"), ("two", "one or two", "two alerts")]
joint += [("one", second_alert.REVISING, "one alert"), ("two", second_alert.REVISING, "two alerts")]
compared = second_alert.compare_with_dedicated(alone, both, joint, bootstrap)
run.save_extra_table(compared, "one_or_two", caption="One model for both cases against dedicated ones, test.")
fig = plots.plot_dedicated(compared)
run.save_extra_figure(fig, "one_or_two", caption="One model for both cases against dedicated ones, test set.")
compared.round(3)

# %% [markdown]
# ## What the second alert changes
#
# The same network with its second branch empty, then with the second alert, object by object.

# %%
answers = (view.probabilities[second_alert.REVISING] for view in (alone, both))
revisions = second_alert.follow_revisions(*answers, both.labels)
names = records.arrays("test").object_ids
groups = second_alert.group_objects(run.require("pairs.parquet"), names, both.classes)
revised = second_alert.tabulate_revisions(revisions, both.labels, groups, bootstrap)
run.save_extra_table(revised, "revisions", caption="From one alert to two, by group of test objects.")
revised[revised["grouping"].isin(["all", "class", "deltajd"])].round(3)

# %%
fig = plots.plot_value(revised)
caption = "Accuracy with the first alert alone and with both, by class and by the days between them (objects)."
run.save_extra_figure(fig, "second_alert", caption=caption)

# %% [markdown]
# ## When it hurts
#
# Answers that flip, and the groups in which more are spoilt than mended. So many groups: one in twenty intervals misses by
# chance. Fewer than five trainings, or six objects that change, decide nothing.

# %%
fig = plots.plot_flips(revised)
caption = "Answers that the second alert changes, and accuracy gained by group (teal: helps; purple: hurts)."
run.save_extra_figure(fig, "flips", caption=caption)
revised[revised["verdict"] == "hurts"].round(3)

# %% [markdown]
# ## Cadence stress
#
# The days between the alerts are shifted, cut at a limit, stretched, or lengthened by a weather gap into which the second
# visit falls. Nothing else changes: the packets that would have come after the gap are not among the pairs, so the second
# alert keeps its own stamps and metadata. Answers to one alert cannot be touched by any of this. Asteroids stand apart: what
# is at one place a month later is another asteroid, so that a gap is a case of theirs that the sky does not make.

# %%
two_alerts = {name: view.without("one alert") for name, view in seen.items() if name != second_alert.FIRST_ALONE}
stress = second_alert.tabulate_stress(two_alerts, stresses, bootstrap)
run.save_extra_table(stress, "cadence_stress", caption="Accuracy and recalls when deltajd is not what it was.")
longest = stress[(stress["kind"] == "gap") & (stress["amount"] == max(gap_nights))]
longest.pivot_table(index="model", columns="objects", values="loss", sort=False).round(3)

# %%
flat = second_alert.tabulate_stress({second_alert.UNDISTURBED: alone}, [], bootstrap)
flat = flat[flat["objects"] == second_alert.STAYING].set_index("model")["accuracy"]
baselines = {"one alert": flat["one alert"], "one or two, before the second": flat[second_alert.REVISING]}
fig = plots.plot_stress(stress, baselines)
caption = "Accuracy against weather gaps and other changes of cadence; bands and bars of 95 %."
run.save_extra_figure(fig, "cadence_stress", caption=caption)

# %% [markdown]
# ## What a broker gains while it waits
#
# Every first alert is answered at once, and again when a second comes. Objects that no usable second alert follows keep
# their first answer, and count: classes weigh the same, and in each class as many objects wait in vain as in the run's data.

# %%
days = read_metadata(run.require("pairs.parquet")).set_index("objectId").loc[names, "deltajd"]
first_alerts = run.require("first_alerts.parquet")
seconds = second_alert.count_seconds(first_alerts, run.require("pairs.parquet"), both.classes, run.params)
right = (view.correct[second_alert.REVISING] for view in (alone, both))
waiting = second_alert.tabulate_waiting(*right, days, both.labels, seconds, bootstrap)
run.save_extra_table(waiting, "waiting", caption="Accuracy by days since the first alert, unanswered objects counted.")
waiting.round(3)

# %%
fig = plots.plot_waiting(waiting)
shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(both.classes, seconds))
run.save_extra_figure(fig, "waiting", caption=f"Accuracy gained since the first alert; a second follows: {shares}.")

# %% [markdown]
# ## What the gain is made of
#
# Placebos and learning curves: both models trained anew with parts of the second alert replaced by copies of the first, with
# stamps or metadata hidden, with fewer objects, more epochs, wider networks, wrong labels. Beside the networks the same for
# a forest and gradient boosting on metadata. If the gain shrinks as networks are trained to an end, it was undertraining.

# %%
designs = second_alert.list_designs(run.params)
way = (run.require("pairs.parquet"), designs, combinations["stamp_26"], run.models / "gains", run.params)
results_by_design = second_alert.train_designs(*way)
made_of = second_alert.compare_designs(results_by_design, bootstrap)
print(f"{len(designs)} designs" if designs else "not decided at this size: gain_repetitions is 0")

# %%
if designs:
    gains = second_alert.tabulate_gains(results_by_design, bootstrap)
    caption = f"Gain of the second alert by design, {run.params.gain_repetitions} trainings each."
    run.save_extra_table(gains, "gains", caption=caption)
    run.save_extra_figure(plots.plot_gains(gains), "gains", caption=caption)
    print(gains.round(3).to_string(index=False))

# %% [markdown]
# ## A model to hand on
#
# `load_classifier(folder).predict([(first, second), ...])` answers with both alerts, `load_classifier(folder).at_first_alert()` with
# the first one alone.

# %%
own = second_alert.training_parameters(second_alert.REVISING, run.params)
packaged = package_winners(trained[second_alert.REVISING], records, run.models, own, run.mark)
print(*(folder.relative_to(run.root) for folder in packaged.values()))

# %% [markdown]
# ## What was found
#
# One goal: with learned gaps, a gap of 30 nights costs the classes that stay in place less than two points, and without a
# gap the model is as good as the one that did not learn them, within one point. Fewer than five trainings, as in quick,
# leave everything undecided.

# %%
goals = second_alert.check_goals(stress, both, second_alert.LEARNED, equivalence_margin, bootstrap)
claims = second_alert.collect_claims(revised, waiting, goals, made_of)
run.save_extra_table(claims, "claims_12", caption="What the second alert adds.")
print(*summarise_claims(claims), sep="\n")
