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
# those that are trained for one of the cases, its revisions by class and by deltajd, and the accuracy of all under weather
# gaps, learned in training and not.

# %%
from twostamp.analysis import second_alert
from twostamp.evaluation import Bootstrap
from twostamp.models import SearchResults, package_winners
from twostamp.pipeline import open_run
from twostamp.plots.second_alert import plot_dedicated, plot_flips, plot_stress, plot_value
from twostamp.thesis import MODELS, SEPARATED, STACKED

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
fig = plot_dedicated(compared)
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
fig = plot_value(revised)
caption = "Accuracy with the first alert alone and with both, by class and by the days between them (objects)."
run.save_extra_figure(fig, "second_alert", caption=caption)

# %% [markdown]
# ## When it hurts
#
# Answers that flip, and the groups in which more are spoilt than mended. So many groups: one in twenty intervals misses by
# chance, and a group of few objects says little.

# %%
fig = plot_flips(revised)
caption = "Answers that the second alert changes, and accuracy gained by group (teal: helps; purple: hurts)."
run.save_extra_figure(fig, "flips", caption=caption)
revised[revised["second alert"] == "hurts"].round(3)

# %% [markdown]
# ## Cadence stress
#
# The days between the alerts are shifted, cut at a limit, stretched, or lengthened by a weather gap into which the second
# visit falls. Nothing else changes: the packets that would have come after the gap are not among the pairs, so the second
# alert keeps its own stamps and metadata. Answers to one alert cannot be touched by any of this.

# %%
two_alerts = {name: view.without("one alert") for name, view in seen.items() if name != second_alert.FIRST_ALONE}
stress = second_alert.tabulate_stress(two_alerts, stresses, bootstrap)
run.save_extra_table(stress, "cadence_stress", caption="Accuracy when deltajd is not what it was.")
stress[(stress["kind"] == "gap") & stress["amount"].isin([0, max(gap_nights)])].round(3)

# %%
flat = {
    "one alert": alone.accuracy("one alert"),
    "one or two, before the second": alone.accuracy(second_alert.REVISING),
}
fig = plot_stress(stress, flat)
caption = "Accuracy against weather gaps and other changes of cadence; bands and bars of 95 %."
run.save_extra_figure(fig, "cadence_stress", caption=caption)

# %% [markdown]
# The thesis's two-stamp classifiers themselves, as notebook 04 trained them, whole.

# %%
winners = results.winners({name: MODELS[name] for name in (STACKED, SEPARATED)})
views = second_alert.predict_views({name: own.best_first() for name, own in winners.items()}, records, stresses)
thesis_stress = second_alert.tabulate_stress(views, stresses, bootstrap)
run.save_extra_table(thesis_stress, "cadence_stress_thesis", caption="Notebook 04's winners when deltajd changes.")
thesis_stress[thesis_stress["kind"] == "gap"].round(3)

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
# The goal: with learned gaps, a gap of 30 nights costs less than two points of accuracy, and without a gap the model is
# equivalent to the one that did not learn them, within one point (two one-sided tests). Fewer than five repetitions, as in
# quick, leave it undecided.

# %%
learned = second_alert.LEARNED
equivalence = second_alert.check_gap_equivalence(both, list(learned.items()), equivalence_margin, bootstrap)
goals = second_alert.check_goals(stress, equivalence, list(learned))
run.save_extra_table(equivalence, "gap_equivalence", caption="Learned gaps or none, undisturbed: TOST.")
run.save_extra_table(goals, "gap_goals", caption="Are learned gaps safe and free of cost?")
print(goals.round(4).to_string(index=False))
print("\n".join(second_alert.summarise_revisions(revised)))
