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
# **Question.** What did the night bring: how many alerts were answered and how fast, what looks like a supernova, and is anything
# wrong with the night or with the model?
#
# **In.** A night of the run's archive (`night`), and this run's packaged models; without them, the one of the package.
# **Out.** `tonight/tonight.sqlite` with every answer, a Parquet file, a VOTable and ALeRCE's table of the night, and the tables and
# figures below. `twostamp tonight` does the scoring alone, also from Kafka; notebook 17 is for looking at the candidates.
#
# By default the night is the one of the simulated survey with most alerts: it shows that all of this works, not what the sky is like.

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
# ## What became of the alerts
#
# An object's first alert is answered at once, its second revises the answer, later ones are counted. The books are those of the
# whole file, and balance: every alert is one of these, or the command fails. Of a simulated survey the nights before are in it too,
# for without them there would be no second alert.

# %% tags=["nbval-check-output"]
print("\n".join(scored.account[:1]))

# %%
counts = tonight.count_answers(scored.answers)
run.save_extra_table(counts, "tonight_answers", caption="Answers by class and number of alerts, and flags.")
counts

# %% [markdown]
# Flags stand beside an answer and delete none. *Seen before* means that the packet tells of detections which never came here, so
# the answer is no first-two answer; the others are ALeRCE's rules.
#
# ## How fast
#
# From the moment an alert is read to that of its answer. A night that is read from an archive comes all at once, and its alerts
# wait for each other: p99 is then the time of a batch.

# %%
latency = tonight.measure_latency(scored.answers)
run.save_extra_table(latency, "tonight_latency", caption="Seconds from an alert's arrival to its answer.")
latency.round(3)

# %% [markdown]
# ## Is the night like the training set?
#
# The stability index (PSI) of notebook 13 between the night's first alerts and the run's, feature by feature. The customary limits
# know neither a batch's size nor the weather, so the run's own first alerts set the limit: cut into batches of as many as the
# night has, in the order of time. A feature rings if the night is more unlike the run than every such batch. The run's first alerts
# have as many of each class as its labels have, and a night does not: an alarm asks to look, and does not say what is wrong.

# %%
drift = tonight.watch_drift(scored, run.require("first_alerts.parquet"))
run.save_extra_table(drift, "tonight_drift", caption="Stability index against the run's first alerts.", source="data")
drift.head(6).round(3)

# %% [markdown]
# ## When
#
# All alerts of an exposure have one time. One exposure with many more answers than the others (dashed) is most likely a failed
# calibration or a bad subtraction, whatever its alerts look like.

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
# The objects that are most probably supernovae, by their last answers. The probabilities are those of a model trained on balanced
# classes: on a night, where supernovae are rare, most candidates of 0.5 are none (notebook 11).

# %%
candidates = tonight.list_candidates(scored.answers, "SN", night_candidates)
run.save_extra_table(candidates, "tonight_candidates", caption="The most probable supernovae of the night.")
candidates.round(3)

# %% [markdown]
# ## What was found

# %%
print(tonight.summarise_night(scored, candidates, drift, exposures))
