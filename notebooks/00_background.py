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
# # 00 Background
#
# **Question.** Why does early classification matter, and what does an alert hold? What does a convolutional network
# compute from its stamps, and what accuracies have others reached?
#
# **In.** A TNS export if there is one, and a few alerts of the archive. **Out.** Figure A.1, Table 2.1, and those
# figures of chapters 1 and 2 of the thesis that data or a computation can draw. Photographs and other authors' plots
# are not redrawn: the ledger names their sources.

# %%
import numpy as np
from matplotlib import pyplot as plt

from twostamp.analysis import background
from twostamp.data import read_labels
from twostamp.pipeline import open_run
from twostamp.plots import background as plots
from twostamp.plots import schematics
from twostamp.thesis import read_catalogue

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
tns_csv = ""

# %%
run = open_run("00_background", globals())

# %% [markdown]
# ## Why early classification
#
# The number of spectroscopically confirmed supernovae grows every year, and brokers such as ALeRCE report many of them
# (figures 1.1 and 1.2). A run on real alerts draws both figures only from an export of the Transient Name Server (TNS).
# A simulated run without an export invents one: its two totals are the thesis's, its shape by year and type is an
# assumption.

# %%
supernovae = background.find_supernovae(run.params)
copied = "" if run.params.tns_csv else background.TOTAL_COPIED
if supernovae is None:
    run.missing("1.1", "no TNS export: set tns_csv")
else:
    by_year = background.count_by_year(supernovae)
    fig, ax = plt.subplots(figsize=(6, 3))
    plots.plot_yearly_counts(by_year, ax)
    caption = " ".join(
        [f"{by_year.sum()} supernovae, public and confirmed in TNS, by year of discovery.", copied]
    ).strip()
    run.save_figure(fig, "1.1", caption=caption, ours="" if copied else by_year.sum(), note=copied)

# %%
if supernovae is None:
    run.missing("1.2", "no TNS export: set tns_csv")
else:
    by_type = background.count_types(supernovae, "ALeRCE")
    fig, ax = plt.subplots(figsize=(6, 3))
    plots.plot_type_counts(by_type, ax)
    caption = f"{by_type.sum()} of them, reported by ALeRCE, by type."
    run.save_figure(fig, "1.2", caption=caption, ours="" if copied else by_type.sum(), note=copied)

# %% [markdown]
# ## What a survey measures
#
# Two stars can appear equally bright and differ a hundredfold in luminosity. The apparent magnitude is $m = M + 5
# \log_{10}(d / 10\, \mathrm{pc})$; the smaller the magnitude, the brighter the star.

# %%
fig, ax = plt.subplots(figsize=(6.5, 2.2))
schematics.plot_magnitudes(ax)
run.save_figure(fig, "2.1", caption="Apparent and absolute magnitude: A is far and luminous, B near and faint.")

# %% [markdown]
# A survey images the same field repeatedly and subtracts a reference image. It sends an alert, with cut-outs and
# measurements, for every source that remains.

# %%
fig = schematics.plot_survey(plt.figure(figsize=(7, 2.2)))
run.save_figure(fig, "2.3", caption="How an astronomical survey turns an exposure into an alert, on a made-up field.")

# %% [markdown]
# An alert also carries the detections and upper limits at its position over the previous 30 days, so a few alerts make
# a light curve. The object shown comes from the newest nights of the archive; a simulated run first writes a survey of
# a few objects.

# %%
alerts, label_file = background.find_alerts(run.params, run.data)
packets = background.read_newest_packets(alerts)
labelled, _ = read_labels(label_file)
object_id = background.choose_light_curve(packets, labelled)
curve = background.make_light_curve(packets, object_id)

# %%
fig, ax = plt.subplots(figsize=(7, 3))
plots.plot_light_curve(curve, ax, object_id)
run.save_figure(fig, "2.2", caption=f"Light curve of {object_id}; triangles are upper limits.", ours=object_id)

# %%
name, stamps = background.choose_triplet(packets, labelled)
fig = plots.plot_triplet(stamps, plt.figure(figsize=(7, 2.9)), name)
run.save_figure(fig, "2.11", caption=f"The three stamps of an alert of {name}.", ours=name)

# %% [markdown]
# ## From a neuron to a convolutional network
#
# A perceptron takes a weighted sum of its inputs, adds a bias and applies an activation. Layers of perceptrons make a
# multi-layer perceptron.

# %%
fig, ax = plt.subplots(figsize=(5.5, 3.2))
schematics.plot_perceptron(ax)
run.save_figure(fig, "2.12", caption="A perceptron.")

# %%
ends, hidden = (["$x_1$", "$x_2$", "⋮", "$x_n$"], ["$y_1$", "⋮", "$y_m$"]), ["", "", "⋮", ""]
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9))
schematics.plot_mlp([ends[0], hidden, ends[1]], left, "(a) One hidden layer", ["input", "hidden", "output"])
names = ["input", "hidden 1", "hidden 2", "output"]
schematics.plot_mlp([ends[0], hidden, hidden, ends[1]], right, "(b) Two hidden layers", names)
run.save_figure(fig, "2.13", caption="Multi-layer perceptrons.")

# %% [markdown]
# A convolutional layer slides a small kernel over an image and returns the weighted sum at each position. Pooling keeps
# the largest value of each block. Both are computed here, first on small matrices that can be checked by hand.

# %%
rng = np.random.default_rng(run.params.seed)
matrix, kernel = rng.integers(0, 4, (7, 7)).astype(float), np.array([[1.0, 0, -1]] * 3)
fig = plots.plot_matrix_convolution(matrix, kernel, plt.figure(figsize=(7, 2.9)), at=(1, 3))
run.save_figure(fig, "2.15", caption="Convolution of a 7 × 7 matrix with a 3 × 3 kernel, stride 1; one window marked.")

# %%
fig = plots.plot_max_pool(rng.integers(0, 10, (4, 4)).astype(float), plt.figure(figsize=(4.5, 2.6)))
run.save_figure(fig, "2.19", caption="Max pooling with a window of 2 × 2 and stride 2.")

# %% [markdown]
# Then both are applied to the science stamp above. The thesis gives the values in its two 10 × 10 kernels (−1 and 0, −1
# and 1) but not every cell. The arrangement is ours: a diagonal, and a vertical step.

# %%
image = stamps[0].astype(float)
diagonal, vertical = -np.eye(10), np.repeat([[-1.0] * 5 + [1.0] * 5], 10, axis=0)
fig = plots.plot_convolution(image, diagonal, plt.figure(figsize=(7, 3.2)))
run.save_figure(fig, "2.17", caption=f"Convolution of a science stamp of {name} with a diagonal kernel of 10 × 10.")
fig = plots.plot_convolution(image, vertical, plt.figure(figsize=(7, 3.2)))
run.save_figure(fig, "2.18", caption=f"Convolution of a science stamp of {name} with a vertical kernel of 10 × 10.")

# %%
maps = [background.slide_kernel(image, weights) for weights in (vertical, diagonal, vertical.T)]
fig, ax = plt.subplots(figsize=(7, 2.4))
schematics.plot_cnn([[image], maps, [background.max_pool(values) for values in maps]], ax)
run.save_figure(fig, "2.14", caption=f"A convolutional network; the maps are computed on a science stamp of {name}.")

# %% [markdown]
# ## What there is to classify, and what others have reached

# %%
fig, ax = plt.subplots(figsize=(6.5, 6))
plots.plot_taxonomy(ax)
run.save_figure(
    fig, "A.1", caption="ALeRCE's taxonomy as this project uses it; colour is the stamp classifier's class."
)

# %%
literature = background.read_literature()
run.save_table(literature, "2.1", caption="Articles on classifying images of astronomical surveys.")
literature.drop(columns="remarks").style.hide(axis="index")

# %% [markdown]
# ## What was found
#
# One accuracy in Table 2.1 matters later: the one that ALeRCE published, next to that of the thesis's re-implementation
# of the same classifier.

# %%
printed = read_catalogue().set_index("title")["thesis"].str.extract(r"^(0\.\d+)", expand=False).astype(float)
stamp, stacked = printed["stamp, accuracy (test)"], printed["stacked, accuracy (test)"]
published = float(literature["accuracy"].iloc[-1].split()[0])
seen = curve.dropna(subset="magpsf")
n_seen, n_limits, days = len(seen), len(curve) - len(seen), np.ptp(seen["mjd"])
print(f"{object_id}: {n_seen} detections over {days:.1f} days and {n_limits} upper limits, from alerts alone.")
print(f"Published stamp classifier {published:.3f}, the thesis's {stamp:.3f}: {100 * (published - stamp):.1f} points,")
verdict = "more" if published - stamp > stacked - stamp else "no more"
print(f"{verdict} than the {100 * (stacked - stamp):.1f} points that a second alert brought the thesis.")
