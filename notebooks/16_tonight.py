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
# # 16 Tonight
#
# **Question.** How many alerts did the night bring, how fast were they classified, and which look like supernovae? Is
# anything wrong with the night or with the model?
#
# **In.** A night of the run's archive (`night`), and this run's packaged models; without them, the model shipped with
# the package. **Out.** `tonight/tonight.sqlite` with every prediction; a Parquet file, a VOTable and ALeRCE's table of
# the night; the tables and figures below. `twostamp tonight` does only the scoring, also from Kafka; notebook 17 shows
# the candidates.
#
# The default is the night with the most alerts of the simulated survey. It shows that the chain works, not what the sky
# is like.

# %%
from twostamp.analysis import tonight
from twostamp.pipeline import open_run
from twostamp.plots.tonight import plot_sky, plot_times

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
night = ""
night_candidates = 20

# %%
run = open_run("16_tonight", globals())
scored = tonight.score_run(run.root, run.params)
answers = scored.answers.answers()
print(f"model {scored.model.name}, version {scored.model.version}")

# %% [markdown]
# ## Account of the alerts
#
# An object's first alert is classified at once, its second revises the prediction, and later ones are counted. The
# account covers the whole file and balances: every alert is one of these, or the command fails. For a simulated survey
# the file also holds the previous nights, without which there would be no second alert.

# %% tags=["nbval-check-output"]
print("\n".join(scored.account[:1]))

# %%
counts = tonight.count_answers(scored.answers)
run.save_extra_table(counts, "tonight_answers", caption="Answers by class and number of alerts, and flags.")
counts

# %% [markdown]
# Flags accompany a prediction and delete none. *Seen before* means that the packet lists detections that never arrived
# here, so the prediction does not use the first two alerts. The other flags are ALeRCE's rules.
#
# ## How fast
#
# The latency runs from reading an alert to its prediction. A night read from an archive arrives all at once, and its
# alerts wait for each other: p99 is then the time of a batch.

# %%
latency = tonight.measure_latency(scored.answers)
run.save_extra_table(latency, "tonight_latency", caption="Seconds from an alert's arrival to its answer.")
latency.round(3)

# %% [markdown]
# ## Is the night like the training set?
#
# The stability index (PSI) of notebook 13 compares the night's first alerts with the run's, feature by feature. The
# customary limits ignore the size of a batch and the weather. The limit is therefore set by the run's own first alerts,
# cut in order of time into batches of the night's size. A feature raises an alarm if the night differs more from the
# run than every such batch does.
#
# The run's first alerts have the class mix of its labels, and a night does not. An alarm is a reason to inspect the
# night; it does not identify the cause.

# %%
drift = tonight.watch_drift(scored, run.require("first_alerts.parquet"))
run.save_extra_table(drift, "tonight_drift", caption="Stability index against the run's first alerts.", source="data")
drift.head(6).round(3)

# %% [markdown]
# ## When
#
# All alerts of an exposure have the same time. An exposure with many more predictions than the others (dashed) most
# likely has a failed calibration or a bad subtraction, whatever its alerts look like.

# %%
exposures = tonight.count_exposures(scored.answers)
fig = plot_times(answers[answers["night"] == scored.answers.night], exposures, scored.answers.classes)
run.save_extra_figure(fig, "tonight_times", caption="Answers by the time of their alert.")

# %%
crowded = exposures[exposures["crowded"]]
crowded if len(crowded) else "no exposure is crowded"

# %% [markdown]
# ## Where

# %%
fig = plot_sky(scored.answers.latest(), scored.answers.classes)
run.save_extra_figure(fig, "tonight_sky", caption="Objects with an answer, equatorial coordinates.")

# %% [markdown]
# ## Candidates
#
# The table lists the most probable supernovae by their latest predictions. The model is trained on balanced classes. On
# a night, where supernovae are rare, most candidates with a probability of 0.5 are not supernovae (notebook 11).

# %%
candidates = tonight.list_candidates(scored.answers, "SN", night_candidates)
run.save_extra_table(candidates, "tonight_candidates", caption="The most probable supernovae of the night.")
candidates.round(3)

# %% [markdown]
# ## What was found

# %%
print(tonight.summarise_night(scored, candidates, drift, exposures))
