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
# # 02 Exploratory analysis
# **Question.** How many objects does each class have, and which metadata of the first two alerts separate the classes?
#
# **In.** `data/first_alerts.parquet` and `data/pairs.parquet` from notebook 01.
#
# **Out.** Table 3.2, figures 3.1 to 3.7 and C.1 to C.4. If the survey is simulated and real packets are given, also a
# table and a figure that compare the two.
#
# This notebook covers section 3.3 and annex C of the thesis. It reads only metadata, and the stamps of the few objects
# in figure 3.7.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

from twostamp.analysis import exploratory_analysis as exploration
from twostamp.data import count_subclasses, read_metadata
from twostamp.pipeline import open_run
from twostamp.plots import dataset_preparation
from twostamp.plots import exploratory_analysis as plots
from twostamp.plots.style import PAGE_WIDTH
from twostamp.taxonomy import order_classes

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
real_archive = "$TWOSTAMP_REAL_ALERTS"
eda_per_class = 2000
deltajd_max = 100.0

# %% [markdown]
# ## The sample
# The sample starts from the first alert of every labelled object in the archive, and the pairs of those with a second
# alert. The histograms below use up to `eda_per_class` pairs of each class, drawn with the run's seed (the thesis takes
# 2000).

# %%
run = open_run("02_exploratory_analysis", globals())
first_alerts = exploration.read_found(run.require("first_alerts.parquet"))
pairs = read_metadata(run.require("pairs.parquet"))
sample = exploration.sample_per_class(pairs, run.params.eda_per_class, run.params.seed)

# %% tags=["nbval-check-output"]
print(f"{len(first_alerts)} objects, {len(pairs)} with two alerts, {len(sample)} in the sample")
run.record_number("3.3", "objects per class explored", max(sample["classALeRCE"].value_counts(), default=0))

# %% [markdown]
# ## The metadata
# Table 3.2 lists the inputs of ALeRCE's stamp classifier: 18 fields of a packet and five features derived from them.
# The thesis adds elong, the filter and the time between the two alerts.

# %%
metadata_table = exploration.make_metadata_table()
run.save_table(metadata_table, "3.2", caption="Metadata of the classifiers")
metadata_table

# %% [markdown]
# ## Classes and subclasses
# The thesis's classes are unbalanced, and a few subclasses dominate theirs; notebook 03 therefore levels them. A
# simulated survey has the balance that its parameters set.

# %%
classes = first_alerts["classALeRCE"]
class_counts = classes.value_counts().reindex(order_classes(classes))
figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 2.6))
plots.plot_class_counts(class_counts, ax)
run.save_figure(figure, "3.1", caption="Objects per class, whatever their number of alerts.")

# %%
figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 3.4))
dataset_preparation.plot_subclass_counts(count_subclasses(first_alerts), ax)
run.save_figure(figure, "3.2", caption="Objects per subclass, most numerous first, in the colour of their class.")

# %% [markdown]
# ## Time between the two alerts
# This is the first new feature that a second alert provides. In the thesis, most asteroids and supernovae are detected
# again within a day, AGN and variable stars later. The line at 100 days marks the cut that notebook 03 applies.

# %%
figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 3.0))
plots.plot_deltajd(sample, ax, run.params.deltajd_max)
run.save_figure(figure, "3.3", caption="Days between the first and the second alert, by class.")

# %% [markdown]
# ## Elongation and real-bogus score
# elong separates bogus slightly, so the thesis adds it. The real-bogus score separates them well and is left out for
# that reason: a classifier would only repeat ZTF's own.

# %%
figure, axes = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.7))
plots.plot_both_alerts(sample, "elong", np.linspace(1, 2, 26), axes, xlabel="elong (major axis / minor axis)")
run.save_figure(figure, "3.4", caption="elong of both alerts, by class; the last bin holds all above 2.")

# %%
figure, axes = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.7))
plots.plot_both_alerts(sample, "rb", np.linspace(0, 1, 21), axes, xlabel="real-bogus score rb")
run.save_figure(figure, "3.5", caption="ZTF's real-bogus score of both alerts, by class; 1 is a reliable detection.")
low_scores = 100 * (sample["rb_1"] < 0.5).groupby(sample["classALeRCE"]).mean()
bogus_share = f"{low_scores['bogus']:.1f} %" if "bogus" in low_scores else ""
run.record_number("3.3", "bogus with rb below 0.5, first alert", bogus_share)

# %% [markdown]
# ## Filters
# ZTF often observes a field in g and r on the same night. In the thesis, supernovae have more pairs in two filters (gr,
# rg) than in one (gg, rr). Pairs that include the i band are counted separately.

# %%
figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 2.7))
plots.plot_filter_pairs(sample, ax)
run.save_figure(figure, "3.6", caption="Filters of the first two alerts: gr is g first, then r.")

# %% [markdown]
# ## Stamps
# Five objects of every class: science, template and difference stamp of the first alert, from top to bottom. Light blue
# marks pixels without a value: masked by ZTF, or beyond the edge of the chip.

# %%
drawn = exploration.sample_per_class(first_alerts, 5, run.params.seed)
stamps = exploration.read_gallery(run.require("first_alerts.parquet"), drawn, per_class=5)
figure = plots.plot_gallery(stamps, plt.figure())
run.save_figure(figure, "3.7", caption="Stamps of five objects of every class; no value where it is light blue.")
run.record_number("3.3", "objects per class in figure 3.7", drawn["classALeRCE"].value_counts().max())

# %% [markdown]
# A stamp cut at the edge of the chip is smaller than 63 x 63 pixels. The position on the chip shows which stamps are
# cut (S1). In the thesis 98.46 % of the first stamps, 98.42 % of the second and 97.59 % of both are whole. Notebook 01
# counts the stamps themselves.

# %% tags=["nbval-check-output"]
whole = exploration.count_whole_stamps(pairs)
print(whole.to_string(index=False))

# %% [markdown]
# ## Metadata of the first alert against the second
# This is annex C of the thesis. Metadata that describe the position, such as coordinates and catalogue neighbours,
# hardly change between the alerts. Metadata that describe the night or the source do. Catalogue sentinels of -999 are
# left out; extreme values are drawn at the border.

# %%
metadata = exploration.explored_metadata(sample)
for item, names in plots.PARTS.items():
    figure = plots.plot_joint_metadata(metadata, sample["classALeRCE"], names, plt.figure())
    run.save_figure(figure, item, caption=f"First against second alert, by class: {', '.join(names)}.")

# %% [markdown]
# ## Simulated against real
# If real packets are given, this section measures how far the simulated survey is from them. It uses classes with 20
# alerts or more on both sides, and two measures per class:
#
# - the Kolmogorov-Smirnov distance between first alerts for each metadata feature (0: equal, 1: disjoint);
# - the cross-validated AUC of a random forest that separates simulated from real alerts (0.5: it cannot).
#
# The real packets are from 2018. The forest does not use ra, dec or the counts that grow with the survey's age. The
# packets come from few nights and fields, which contributes to every distance; a second AUC therefore hides the
# ecliptic and Galactic coordinates too. For a class with only a handful of real packets, the distances are not
# informative.

# %%
real, reason = exploration.find_real_alerts(run.params)
if real is not None:
    comparison = exploration.compare_metadata(first_alerts, real)
    auc = exploration.realism_auc(first_alerts, real, run.params.seed)
    blind = exploration.realism_auc(first_alerts, real, run.params.seed, coordinates=False)
    auc["auc_without_coordinates"] = blind["auc_mean"]
    run.save_extra_table(comparison, "simulated_vs_real", caption="Simulated and real first alerts, field by field.")
    run.save_extra_table(auc, "simulated_vs_real_auc", caption="A random forest that tells simulated from real alerts.")
else:
    print(f"Nothing to compare: {reason}.")

# %%
if real is not None:
    figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 3.2))
    plots.plot_realism(comparison, auc, ax)
    run.save_extra_figure(figure, "simulated_vs_real", caption="Distance of simulated from real first alerts.")
    display(auc.round(3))

# %% [markdown]
# ## What was found
# The sentences below are computed from this run's sample.

# %%
classes = sample["classALeRCE"]
same_night = 100 * (sample["deltajd"] < 1).groupby(classes).mean()
filters = exploration.name_filter_pairs(sample["fid_1"], sample["fid_2"])
two_filters = 100 * filters.isin(["gr", "rg"]).groupby(classes).mean()
for name in order_classes(classes):
    print(f"{name}: {same_night[name]:.0f} % of the pairs within a day, {two_filters[name]:.0f} % in g and r,", end=" ")
    print(f"{low_scores[name]:.0f} % of the first alerts with a real-bogus score below 0.5.")
if real is not None:
    for row in auc.itertuples():
        print(f"A forest tells simulated from real {row.classALeRCE} with an AUC of {row.auc_mean:.2f},", end=" ")
        print(f"{row.auc_without_coordinates:.2f} without coordinates.")
