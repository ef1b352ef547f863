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
# # 06 Inference time
#
# **Question.** How long does a prediction take, by architecture and batch size? What share of the time from packet to
# class is it (section 6.5)?
#
# **In.** The finished search of notebook 04, the records of notebook 03, and packets of the archive. **Out.** Figures
# 6.4 and 6.5, the ledger's rows for section 6.5, and the times of decoding and preparation, which the thesis leaves
# out.

# %%
import os

import pandas as pd
from matplotlib import pyplot as plt

from twostamp.analysis import inference_time
from twostamp.data import find_archive
from twostamp.evaluation import format_mean_std
from twostamp.models import SearchResults, load_classifier
from twostamp.pipeline import open_run, record_numbers
from twostamp.plots import inference_time as plots

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
best_models = 5
latency_repeats = 200
latency_batch_sizes = [1, 10, 100, 1000]
metadata_recipe = "thesis"
report_weights = "last"

# %%
run = open_run("06_inference_time", globals())

# %% [markdown]
# ## The best models of each architecture
#
# The models are the best combinations on validation, with one trained model each: all repetitions of a combination do
# the same computation. If the search has fewer combinations than `best_models`, all are timed.

# %%
results = SearchResults.read(run.require("search"), run.params.report_weights)
chosen = results.rank(run.params.best_models, ("stamp_23", "stacked", "separated"))
chosen[["variant", "rank", "kernel_size", "crop_size", "test_mean", "test_std"]].round(3)

# %% [markdown]
# ## One object
#
# After a warm-up the models run in turn, so that other load on the machine affects all of them. The timed call is a
# traced graph, from NumPy arrays to NumPy probabilities, as a broker would serve it. Each model is measured
# `latency_repeats` times, or for one second. A 99th percentile needs a hundred measurements. The shipped classifier, the mean
# of several networks, is a further row of the table.

# %%
records, repeats = run.records, run.params.latency_repeats
classifiers = {name: results.find(name).load(records) for name in chosen["trial_id"]}
shipped = load_classifier()
times = inference_time.time_models([*classifiers.values(), shipped], records, repeats)
timed, mark = chosen.join(times), f"shipped {shipped.variant}, trained on another {shipped.card['trained on']}"
columns = "^(variant|rank|trial_id|test_mean|test_std|repeats|mean|std|median|p99|times)$"
shown = pd.concat([timed, times.tail(1).assign(variant=mark, trial_id="shipped")]).filter(regex=columns)
run.save_extra_table(shown, "inference_time", caption="Inference time of one object (ms) of the best models.")
shown.drop(columns=["trial_id", "times"]).round(3)

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
plots.plot_time_accuracy(timed, ax)
counts = ", ".join(f"{count} {variant}" for variant, count in timed["variant"].value_counts(sort=False).items())
n_times = inference_time.describe_repeats(timed)
caption = f"Inference time of one object and test accuracy, mean and standard deviation: {counts} (times {n_times})."
run.save_figure(fig, "6.4", caption=caption, note=f"models: {counts}; median and 99th percentile in the extra table")

# %% [markdown]
# ## Fastest against slowest
#
# The thesis uses Welch's test to compare the fastest with the slowest model of each architecture, and the architectures
# with each other. It does not state whether the tests are one- or two-sided; here they are two-sided.
#
# Choosing the extremes first makes a small p likely even without a difference. Other work on the machine adds
# differences of its own. Consecutive times are correlated, so the samples are the medians of ten blocks.

# %%
tests = inference_time.compare_times(timed)
print(tests.to_string(index=False))

# %%
load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
for test in tests.itertuples():
    ours = None if test.reason else f"{test.p:.3g}"
    note = f"n = {test.n} blocks; {load}"
    record_numbers(run, [("6.5", f"Welch p, {test.comparison}", ours)], test.reason, note=note)

# %% [markdown]
# ## Batches
#
# The best stacked model runs on batches of growing size. If the run has none, the best model of another architecture is
# used.

# %%
stacked = chosen[chosen["variant"] == "stacked"]
model = (stacked if len(stacked) else chosen).iloc[0]
sizes = run.params.latency_batch_sizes
classifier = classifiers[model["trial_id"]]
batches = inference_time.time_batches(classifier, records, repeats, sizes)
run.save_extra_table(batches, "batch_time", caption=f"Inference time (ms) of {model['trial_id']} by batch size.")
batches.drop(columns="times").assign(per_object=batches["median"] / batches["batch_size"]).round(3)

# %%
fig, ax = plt.subplots(figsize=(6, 3.6))
plots.plot_time_batch(batches, ax)
n_batches = inference_time.describe_repeats(batches)
caption = f"Inference time of {model['variant']} by batch size, mean and standard deviation ({n_batches})."
run.save_figure(fig, "6.5", caption=caption, note=f"model {model['trial_id']}")

# %%
absent = "latency_batch_sizes has no batch of this size"
titles = {"inference of one object": 1, "inference of a batch of 1000": 1000, "inference of 1000 objects one by one": 1}
for title, size in titles.items():
    rows = batches[batches["batch_size"] == size]
    unit = "s" if "one by one" in title else "ms"
    times = [f"{format_mean_std(*row)} {unit}" for row in rows[["mean", "std", "repeats"]].to_numpy()]
    record_numbers(run, [("6.5", title, *(times or [None]))], absent, note=f"n = {rows['repeats'].max()}")
run.record_number("6.5", "repeats of each timing", n_times.removeprefix("n = "))
run.record_number("6.5", "models timed per architecture", counts)

# %% [markdown]
# ## Best batch size, a question that sections 6.5 and 6.11 leave open
#
# A large batch costs less per object but makes objects wait. The simulation uses the times just measured. Alerts arrive
# one by one at random, or in bursts, as an exposure of Rubin sends them. A free server takes the waiting alerts, up to
# one batch. Only waiting and inference count here.
#
# For a batch size of one, theory (M/D/1) gives the mean wait, and a test checks the simulation against it. Lines end at
# the rate that full batches can no longer sustain.

# %%
service = inference_time.fit_service_time(sizes, batches["median"] / 1000)
rates = inference_time.rate_grid()
queues = {
    "one by one, at random": inference_time.compare_batches(service, rates),
    "bursts of 10 000": inference_time.compare_batches(service, rates, burst=inference_time.RUBIN.burst),
}

# %%
surveys = [inference_time.ZTF, inference_time.RUBIN]
advice = [inference_time.summarise_recommendation(*pair) for pair in zip(queues.values(), surveys, strict=True)]
fig = plots.plot_queue(queues, surveys)
caption = "Waiting and inference time against arrival rate by batch size: median (line) and 99th percentile (dotted)."
run.save_extra_figure(fig, "queue", caption=f"{caption} The batch to take: {'; '.join(advice)}.")

# %%
print(*advice, sep="\n")

# %% [markdown]
# ## Before the model: packets to arrays
#
# A broker receives Avro packets. Before every prediction it decodes them, then repairs and normalises six stamps per
# object. The thesis excludes this step from its times, and states so.

# %%
alerts = find_archive(run.params, run.data)
stages = None
if len(stacked):
    stages = inference_time.time_archive(classifier, alerts, run.require("pairs.parquet"), repeats)

# %%
if stages is not None:
    run.save_extra_table(stages, "stages", caption="Time (ms) of each stage from packets to probabilities.")
    fig, ax = plt.subplots(figsize=(6.4, 1.9))
    plots.plot_stages(stages, ax)
    run.save_extra_figure(fig, "stages", caption="Time per object from packets to probabilities, by stage.")

# %% [markdown]
# ## What was found

# %%
medians = timed.groupby("variant", sort=False)["median"].median().round(2)
print("median time of one object (ms):", medians.to_dict())
print("p, two-sided, beside the thesis's:")
print(tests.to_string(index=False))

# %%
per_object = batches["median"] / batches["batch_size"]
print(f"an object costs {per_object.iloc[0]:.3f} ms alone and {per_object.iloc[-1]:.3f} ms in a batch of {sizes[-1]}")
if stages is not None:
    alone = stages[stages["batch_size"] == 1].set_index("stage")["median"]
    print(
        f"from packets to class (ms): {alone.round(2).to_dict()}, prediction {alone['predict'] / alone.sum():.0%} of it"
    )
