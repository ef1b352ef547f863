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
# # 03 Dataset preparation
#
# **Question.** Which objects does a classifier train on, and in what form does it receive them?
#
# **In.** `data/pairs.parquet` from notebook 01 (or `first_alerts.parquet` if a run trains on first alerts only).
#
# **Out.** `data/records`: TFRecords per split and class, and the statistics of the training set. Also figures 3.8 and
# 3.9, Table 3.5 and algorithm B.1 (thesis sections 3.4 to 3.6 and annex B).

# %%
import pandas as pd
from matplotlib import pyplot as plt

from twostamp import data
from twostamp.analysis.dataset_preparation import make_split_table, summarise_levelling, summarise_sentinels
from twostamp.models import alerce_recipe as baseline
from twostamp.pipeline import open_run
from twostamp.plots import dataset_preparation as plots
from twostamp.taxonomy import SSDISTNR_MAX, order_classes

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
deltajd_max = 100.0
ssdistnr_on = "both"
cap_per_class = 200
validation_per_class = 25
test_per_class = 25
normalisation = "range"
nan_value = 2.0
alerce_baseline = False

# %%
run = open_run("03_dataset_preparation", globals())

# %% [markdown]
# ## Which pairs are admitted
#
# The thesis requires at most `deltajd_max` days between the two alerts. An asteroid must lie within 10 arcsec of the
# predicted position of a known body at both alerts (`ssdistnr_on`). Otherwise nothing shows that both alerts are of the
# same body. The filter runs before the cap. Every dropped object is counted.

# %% tags=["nbval-check-output"]
source = run.require("pairs.parquet" if run.params.training_alerts == "pairs" else "first_alerts.parquet")
found = data.read_metadata(source)
pairs, counts = data.filter_pairs(found, deltajd_max, ssdistnr_on, run.params.partnership)
assert counts["objects"] == sum(counts.values()) - counts["objects"]
print(pd.Series(counts).to_string())

# %% [markdown]
# ## Subclasses, before and after the cap
#
# A few subclasses dominate each class (figure 3.8). A random cap on the class would keep that imbalance.

# %%
before = data.count_subclasses(pairs)
fig, ax = plt.subplots(figsize=(7, 3.2))
plots.plot_subclass_counts(before, ax, cap_per_class)
run.save_figure(
    fig, "3.8", caption=f"Subclasses of the {len(pairs)} objects before the cap of {cap_per_class} per class."
)

# %% [markdown]
# Algorithm B.1 removes one object at a time from the largest subclass until the class fits. Its result has a closed
# form: the large subclasses are level, the small ones stay whole. The table holds both counts.

# %%
levelling = summarise_levelling(before, cap_per_class)
assert (levelling["after"] == levelling["after by the loop"]).all()
run.save_table(levelling, "B.1", caption=f"Algorithm B.1 under a cap of {cap_per_class}: closed form and literal loop.")
levelling

# %% [markdown]
# The objects kept from a levelled subclass are drawn at random with the seed. Small subclasses gain weight (figure
# 3.9).

# %%
capped = data.cap_classes(pairs, cap_per_class, seed)
fig, ax = plt.subplots(figsize=(7, 3.2))
plots.plot_subclass_counts(data.count_subclasses(capped), ax, cap_per_class)
run.save_figure(
    fig, "3.9", caption=f"Subclasses of the {len(capped)} objects kept by a cap of {cap_per_class} per class."
)

# %% [markdown]
# ## Training, validation and test
#
# Every class gives the same number of objects to validation and to test, drawn from its subclasses in proportion
# (largest remainders). A subclass too small for a share stays in training. The thesis's Table 3.5 lists three of the
# five classes; ours lists all.

# %% tags=["nbval-check-output"]
objects = data.split_objects(capped, validation_per_class, test_per_class, seed)
table = make_split_table(objects)
note = "all classes; the thesis's table leaves out asteroids and bogus (D4)"
sizes = " / ".join(str(n) for n in objects["split"].value_counts().reindex(["train", "validation", "test"]))
run.save_table(table, "3.5", caption="Training, validation and test objects by subclass.", ours=sizes, note=note)
print(table.to_string(index=False))

# %%
numbers = {
    "objects per class at most": cap_per_class,
    "deltajd at most": f"{deltajd_max:g} d",
    "cap of Carrasco-Davis et al. (2020)": "not applied",
    "validation objects per class": validation_per_class,
    "test objects per class": test_per_class,
}
for title, ours in numbers.items():
    run.record_number("3.4", title, ours)
run.record_number("3.1.4", "distance to the known asteroid at most (ssdistnr), arcsec", f"{SSDISTNR_MAX:g}")

# %% [markdown]
# ## TFRecords
#
# Each stamp cut by the chip's edge is padded back to 63 × 63, then normalised by its own quantiles. Metadata are stored
# raw; the mean and standard deviation of the training set, which standardise them, are in `scaler.json`. Existing
# records of the same objects, made in the same way, are reused.

# %%
classes = order_classes(objects["classALeRCE"])
preparation = data.Preparation.of(run.params)
info = data.write_records(source, objects, run.data / "records", classes, preparation, seed=seed)

# %% [markdown]
# ALeRCE normalises each stamp by its extremes instead. With `alerce_baseline`, its recipe is trained too, as a second
# baseline; the first alerts of the same objects are written once more for it.

# %%
alerce = baseline.write_alerce_records(run.require("first_alerts.parquet"), objects, run.data, classes, run.params)
print("no records for ALeRCE's recipe" if alerce is None else f"first alerts by ALeRCE's recipe: {len(objects)}")

# %% [markdown]
# The tables count unusual stamps. Missing pixels (masks, edges) are set to a placeholder value; a stamp without
# contrast becomes 0.

# %% tags=["nbval-check-output"]
print(pd.DataFrame(info.counts).to_string())
print(pd.Series(info.report).to_string())

# %%
run.record_number("3.5.1", "quantiles of the normalisation", ", ".join(f"{q:g}" for q in data.QUANTILES))
run.record_number("3.5.1", "value of a missing pixel", f"{nan_value:g}")
run.record_number("3.5.1", "range of a normalised pixel", "{} to {}".format(*data.RANGE))
both_lists = [len(data.feature_names_two(name)) for name in ("thesis26", "thesis24")]
run.record_number("3.5.2", "metadata per object", "{} (literal list: {})".format(*both_lists))

# %% [markdown]
# ## Effect of sentinels on the mean
#
# A packet often marks a missing value by −999. The thesis standardises without clipping (recipe `thesis`): a few
# sentinels then dominate the mean and standard deviation, and compress the real values. ALeRCE clips first (recipe
# `alerce`). *Spread* is the standard deviation of the real values after standardising; without sentinels it is 1.

# %%
features = data.compute_features(objects[objects["split"] == "train"], alert=1)
scalers = [data.Records(run.data / "records", recipe).scaler for recipe in data.RECIPES]
sentinels = summarise_sentinels(features, scalers)
run.save_extra_table(
    sentinels, "sentinels", caption="Features with sentinels of -999 in first alerts of the training set."
)
sentinels

# %% [markdown]
# ## Input of a model
#
# Each batch takes the same number of objects from every class. Places left over after equal shares go to the classes in
# turn. Objects of a small class repeat.

# %%
records = run.records
batches = records.batches(64, features="thesis26", crop=21, seed=seed)
(inputs, one_hot), *_ = batches.take(1).as_numpy_iterator()
validation = records.arrays("validation", features="thesis26", crop=21)

# %% tags=["nbval-check-output"]
for name, values in inputs.items():
    print(f"{name:12s} {values.shape} {values.dtype}")
print("objects per class:", dict(zip(classes, one_hot.sum(axis=0).astype(int).tolist())))
print("batches of 64 in an epoch:", records.steps_per_epoch(64), "| validation objects:", len(validation))

# %% [markdown]
# ## What was found

# %%
sizes = objects["classALeRCE"].value_counts()
short = [name for name in classes if sizes[name] < cap_per_class]
print(
    f"{counts['objects']} objects were found, {len(pairs)} admitted, {len(objects)} kept (cap {cap_per_class} per class)."
)
print(f"Classes that do not fill the cap: {', '.join(short) or 'none'}.")
for row in sentinels.nsmallest(1, "spread thesis").to_dict("records"):
    print(f"Sentinels squeeze {row['feature']} most ({row['sentinels %']:.1f} % of first alerts have them):")
    print(
        f"real values spread {row['spread thesis']:.3f} with the thesis's recipe, {row['spread alerce']:.3f} with ALeRCE's."
    )
