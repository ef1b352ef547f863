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
# **Question.** What does a second alert change for a broker that first has only one, for which objects, and when does
# it do harm? How much do the predictions rely on `deltajd`, which bad weather lengthens (a concern of the thesis
# itself, section 6.11)?
#
# **In.** The search of notebook 04 and the run's TFRecords. **Out.** One classifier for one alert *or* two, next to
# dedicated classifiers for either case. Its revisions by class, by deltajd and over time, and the sources of the gain.
# The accuracy of all of them under weather gaps, with and without gaps in training.

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
# All classifiers are trained again on the run's training set, at one width and with the winning hyper-parameters of
# notebook 04. *One or two* is a separated classifier. An input that marks whether there is a second alert multiplies
# its second branch, with deltajd. In training, half of the objects in every step have their second alert hidden.
#
# The classifiers that learn gaps (*gaps*, *learned*) see weather gaps in the second half of training. Half of the
# objects in every step then get a gap added to the days between their alerts. The logarithm of the gap is uniform from
# one night upwards. The thesis trains with neither.

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
# What does one network for both cases cost in accuracy? Each case is compared with the classifier trained for it alone.
# Intervals are 95 %, over objects and repetitions together.

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
# The same network predicts every object twice: with its second branch empty, then with the second alert.

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
# The figure shows predictions that change, and the groups in which more become wrong than right. With so many groups,
# one interval in twenty misses by chance. Fewer than five trainings, or fewer than six changed objects, never give a
# verdict.

# %%
fig = plots.plot_flips(revised)
caption = "Answers that the second alert changes, and accuracy gained by group (teal: helps; purple: hurts)."
run.save_extra_figure(fig, "flips", caption=caption)
revised[revised["verdict"] == "hurts"].round(3)

# %% [markdown]
# ## Cadence stress
#
# The days between the alerts are shifted, capped, stretched, or lengthened by a weather gap into which the second visit
# falls. Nothing else changes: the packets that would have come after the gap are not among the pairs. The second alert
# therefore keeps its own stamps and metadata. Predictions from one alert are not affected.
#
# Asteroids are reported separately. A detection at the same position a month later is another asteroid, so a gap for
# asteroids does not occur on the sky.

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
# Every first alert is classified at once, and again when a second comes. Objects without a usable second alert keep
# their first prediction, and count. Classes have equal weight, and the share of objects in each class without a second
# alert is that of the run's data.

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
# ## Sources of the gain
#
# These experiments are placebos and learning curves: both models are trained again under changed conditions. Parts of
# the second alert are replaced by copies of the first; stamps or metadata are hidden. Others use fewer objects, more
# epochs, wider networks or wrong labels. A forest and gradient boosting on metadata go through the same. If the gain
# shrinks as networks converge, undertraining caused it.

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
# ## A model to share
#
# `load_classifier(folder).predict([(first, second), ...])` classifies from both alerts,
# `load_classifier(folder).at_first_alert()` from the first one only.

# %%
own = second_alert.training_parameters(second_alert.REVISING, run.params)
packaged = package_winners(trained[second_alert.REVISING], records, run.models, own, run.mark)
print(*(folder.relative_to(run.root) for folder in packaged.values()))

# %% [markdown]
# ## What was found
#
# The goal has two parts, for a model with learned gaps. A gap of 30 nights costs the classes that stay in place less
# than two points. Without a gap, the model is as good, within one point, as the one trained without gaps. Fewer than
# five trainings, as in quick, leave both undecided.

# %%
goals = second_alert.check_goals(stress, both, second_alert.LEARNED, equivalence_margin, bootstrap)
claims = second_alert.collect_claims(revised, waiting, goals, made_of)
run.save_extra_table(claims, "claims_12", caption="What the second alert adds.")
print(*summarise_claims(claims), sep="\n")
