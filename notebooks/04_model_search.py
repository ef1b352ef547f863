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
# # 04 Model search
#
# **Question.** Which hyper-parameters suit each classifier, and how accurate is it with them? The three classifiers are
# the stamp classifier (M0), and the stacked (M1) and separated (M2) two-stamp classifiers (chapters 4 and 5, sections
# 6.1 to 6.3).
#
# **In.** The TFRecords of notebook 03. **Out.** Tables 4.1-4.4 and figures 4.1-4.3, read from the Keras models. One
# result file and two weight files per training, in `models/search`. Tables 6.1-6.3 and figures 6.1-6.3. One folder per
# winner to share, for example `models/stacked`.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from twostamp import models
from twostamp.analysis.model_search import format_search
from twostamp.evaluation import confusion_shares, format_repeats, report_mean_std
from twostamp.pipeline import open_run
from twostamp.plots.confusion import plot_confusions
from twostamp.plots.model_search import plot_deephits, plot_learning_curves, plot_model
from twostamp.utils import open_spark

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
search_variants = ["stamp_23", "stamp_26", "stacked", "separated"]
n_combinations = 1
n_repetitions = 5
width = 0.25
report_weights = "last"
alerce_baseline = False

# %%
run = open_run("04_model_search", globals())
params = run.params

# %% [markdown]
# ## The classifiers
#
# All three share the DeepHiTS block: the four 90-degree rotations of a stamp pass through the same convolutions, and
# their outputs are averaged (cyclic pooling). The prediction is therefore the same for a rotated stamp. The models
# below have the sizes printed in the thesis: 21 pixels, kernel 3, five classes.

# %% tags=["nbval-check-output"]
printed = {"n_classes": 5, "crop_size": 21, "kernel_size": 3, "dropout_rate": 0.3}
built = {name: models.build_model(name, **printed) for name in ("stamp_23", "stacked", "separated")}
for name, model in built.items():
    print(f"{name:10} {model.count_params():7} parameters")

# %% [markdown]
# The tables are computed from the layers. Where they differ from the thesis, the thesis has an error. Three numbers
# differ: filters of the last convolutions, 2304 inputs of the dense layer, 129 inputs of the separated classifier's
# first joint layer (A2, A6).

# %% tags=["nbval-check-output"]
block = models.summary.describe_deephits(built["stacked"].get_layer("deephits"), (21, 21, 6))
run.save_table(block, "4.1", caption="Layers of the DeepHiTS block, as the stacked classifier uses it.")
print(block.to_string(index=False))

# %%
for item, (name, model) in zip(("4.2", "4.3", "4.4"), built.items(), strict=True):
    run.save_table(models.summary.describe_layers(model.layers), item, caption=f"Layers of the classifier {name}.")
run.record_number("4.1", "side of the default crop, pixels", printed["crop_size"])
run.record_number("4.1", "zero padding, pixels", models.PADDING)

# %%
fig, ax = plt.subplots(figsize=(9, 3.4))
plot_deephits(built["stamp_23"].get_layer("deephits"), (21, 21, 3), ax)
caption = "Layers of DeepHiTS to scale: blocks by pixels and channels, vectors by their number of values."
run.save_figure(fig, "4.1", caption=caption)

# %% [markdown]
# The stacked classifier joins both triplets of stamps into one image of six channels. The separated classifier gives
# each alert its own branch and joins them at the end. In both, the logarithm of the days between the alerts (`deltajd`)
# enters after the batch normalisation.

# %%
for item, name in (("4.2", "stacked"), ("4.3", "separated")):
    fig, ax = plt.subplots(figsize=(12, 4.2))
    plot_model(built[name], ax)
    run.save_figure(fig, item, caption=f"The {name} two-stamp classifier, drawn from the Keras model.")

# %% [markdown]
# ## The search
#
# The search draws one random sample of the grid for all classifiers, and trains each combination several times from
# different initial weights. Finished trainings are kept, so an interrupted search resumes. With `tensorboard: true` in
# the run's parameters, `make tensorboard` shows each training live.
#
# `width` scales the number of filters and neurons relative to the thesis. A narrow network trains fully in minutes, in
# which a full one would barely start. Every figure and table from narrow networks carries a note.
#
# With `alerce_baseline`, ALeRCE's own recipe is trained too, as a second baseline at its one published setting (T10).
# Its metadata are clipped, and its stamps normalised by their extremes. It has dropout around both dense layers and an
# entropy term in the loss. It keeps the weights that are best on validation.

# %%
trials = models.make_trials(params)
with open_spark(params.spark_master, params.workers):
    results = models.run_trials(trials, run.records, run.models / "search", params)
    alerce = models.alerce_recipe.train_alerce(run.data, run.models, params)
done, judged = results.done, results + alerce
print(
    f"{len(done)} of {len(trials)} trainings are done, {len(results) - len(done)} failed; {len(alerce)} of ALeRCE's recipe"
)

# %%
run.record_number("5", "epochs", params.epochs)
run.record_number("5", "combinations searched", len(models.sample_combinations(params)))
run.record_number("5", "repetitions of each combination", n_repetitions)
run.record_number("5", "trainings per architecture", f"{n_combinations} × {n_repetitions}")
for name in ("kernel_size", "crop_size", "batch_size", "learning_rate", "dropout_rate"):
    values = getattr(params, f"grid_{name}")
    run.record_number("5", f"grid: {name.replace('_', ' ')}", ", ".join(f"{value:g}" for value in values))
version, gpus = models.summary.describe_tensorflow()
run.record_number("5", "version of TensorFlow", version)
run.record_number("6", "GPUs used", gpus)

# %% [markdown]
# Did the training converge? The figure shows loss and accuracy of the winners after each epoch: the mean over the
# repetitions, and the range from lowest to highest.

# %%
fig = plot_learning_curves({name: [trial.history for trial in trials] for name, trials in judged.winners().items()})
caption = "Loss and accuracy of the winners by epoch, mean and range of the repetitions."
run.save_extra_figure(fig, "learning_curves", caption=caption)
fig

# %% [markdown]
# ## The best combinations
#
# The tables give mean ± standard deviation over the repetitions, sorted by validation accuracy. A combination that lost
# repetitions ranks below those that lost fewer (`n`); ties keep the grid's order. Table 6.1 lists the stamp classifier
# three times:
#
# - with the 23 metadata of the thesis;
# - with the 26 that each alert has in the two-stamp classifiers (M10), a row of ours and marked as such;
# - with ALeRCE's recipe, likewise.

# %%
ranked = judged.rank()
tables = {"6.1": ["stamp_23", "stamp_26", "stamp_alerce"], "6.2": ["stacked"], "6.3": ["separated"]}
for item, variants in tables.items():
    best, printed = (ranked[ranked["variant"].isin(names)] for names in (variants, variants[:1]))
    if best.empty:
        run.missing(item, f"no classifier {variants[0]} was trained in this run", kind="table")
    else:
        ours = "" if printed.empty else format_repeats(printed["validation_values"].iloc[0])
        run.save_table(format_search(best), item, caption=f"Best combinations of {', '.join(variants)}.", ours=ours)
ranked.filter(regex="variant|_size|_rate|_mean|_std").groupby("variant").head(3).round(4)

# %% [markdown]
# ## Confusion matrices of the winners
#
# Rows are true classes and columns predicted ones; each row sums to one. Values are mean ± standard deviation over the
# repetitions.

# %%
classes, winners = done[0].classes, judged.winners()
for item, (name, *_) in tables.items():
    if name not in winners:
        run.missing(item, f"no classifier {name} was trained in this run")
        continue
    fig = plot_confusions({split: winners[name].confusions(split) for split in ("validation", "test")}, classes)
    caption = f"Confusion of the best {name} on validation and test, {len(winners[name])} trainings."
    run.save_figure(fig, item, caption=caption, ours=format_repeats(winners[name].accuracies("test")))

# %% [markdown]
# This table holds the precision, recall and F1 of each class on test, and the next cell the numbers that section 6.1
# prints.

# %%
reports = {name: report_mean_std(trials.confusions("test"), classes) for name, trials in winners.items()}
report = pd.concat(reports, names=["variant"]).reset_index(level=0)
run.save_extra_table(report, "class_report", caption="Precision, recall and F1 of the winners on test.")
report[["variant", "class", "precision", "recall", "f1"]]

# %%
for name in [name for name in tables["6.1"] if name in winners][:1]:
    shares = confusion_shares(winners[name].confusions("test"))
    run.record_number("6.1", "stamp, accuracy (test)", format_repeats(winners[name].accuracies("test")))
    for true, title in (("SN", "stamp, SN as SN (test)"), ("asteroid", "stamp, asteroids as SN (test)")):
        cells = shares[:, classes.index(true), classes.index("SN")]
        run.record_number("6.1", title, format_repeats(cells, digits=2))

# %% [markdown]
# ## Models to share
#
# The best repetition of each classifier gets its own folder: the network, the statistics of its inputs, and a card that
# lists inputs and scores. `twostamp.models.load_classifier(folder).predict(objects)` classifies tuples of Avro packets.

# %%
folders = models.package_winners(results, run.records, run.models, params, run.mark)
folders |= models.alerce_recipe.package_alerce(alerce, run.data, run.models, params, run.mark)
for name, folder in folders.items():
    print(f"{name}: {folder.relative_to(run.root)}")

# %% [markdown]
# ## What was found

# %%
for name, group in ranked.groupby("variant", sort=False):
    top = group.iloc[0]
    score = format_repeats(top["test_values"])
    sizes = f"kernel {top['kernel_size']}, crop {top['crop_size']}, batch {top['batch_size']}, dropout {top['dropout_rate']}"
    print(f"{name}: {score} on test, with {sizes}")
gain = ranked.groupby("variant")["test_mean"].first()
print(
    f"Spread between classifiers on test: {gain.max() - gain.min():.3f}; notebook 05 tests whether it means anything."
)
