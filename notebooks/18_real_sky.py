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
# # 18 Real sky
#
# **Question.** How good are classifiers on real packets if they were trained on simulated alerts alone, before and
# after 2023? What does the second alert change?
#
# **In.** Labelled real packets in `$TWOSTAMP_REAL_ALERTS` (without them the notebook is skipped, with that reason),
# the shipped classifier (`load_classifier()`), and this run's classifiers and first alerts. **Out.** Recall by class
# and epoch with intervals over nights, and confusion matrices. The effect of an adapter, of fine-tuning on real
# packets, and of the second alert.
#
# A classifier that was trained on real packets is marked, and is tested on other nights only. The simulation is
# calibrated on real packets, and one feature (`redetection_ratio`) was chosen with the labels of 2023 in view. The
# packets are from few nights, so class and epoch are confounded. Bogus labels come from a threshold on a score. Most
# packets are not an object's first alert. The results show that a classifier works, not how well it does on the
# survey.

# %%
import matplotlib.pyplot as plt

from twostamp import load_classifier
from twostamp.analysis import real_sky
from twostamp.analysis.exploratory_analysis import compare_metadata, realism_auc
from twostamp.data import NO_PACKETS, extract_real, read_metadata, select_judging
from twostamp.evaluation import Bootstrap
from twostamp.pipeline import open_run
from twostamp.plots.confusion import plot_confusions
from twostamp.plots.real_sky import plot_learning_curve, plot_recalls

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
real_archive = "$TWOSTAMP_REAL_ALERTS"
real_folds = 3
real_sizes = [50, 100]
real_epochs = 8
bootstrap_resamples = 2000

# %%
run = open_run("18_real_sky", globals())
folder = extract_real(run.data, run.params)
shipped = load_classifier()
print(f"shipped: {shipped.variant}, trained on: {shipped.card['trained on']}")
print(NO_PACKETS if folder is None else f"real packets of {run.params.real_archive}")

# %% [markdown]
# ## At the first packet
#
# The shipped classifier is compared with this run's own stamp classifier (M0, 26 metadata), and with ALeRCE's if
# `$TWOSTAMP_ALERCE_CHECKPOINT` names it. A forest and boosting use metadata alone. They are trained on this run's
# first alerts, or on the real packets of other nights. Forest and boosting take the features that do not age.

# %%
answers, objects, classifiers = {}, None, {}
if folder:
    path = folder / "first_alerts.parquet"
    objects = real_sky.read_objects(path)
    classifiers = real_sky.load_classifiers(run.models, run.params.alerce_checkpoint)
    answers = {name: real_sky.predict_objects(model, path) for name, model in classifiers.items()}

# %%
options = {"classes": shipped.classes, "features": shipped.features, "seed": seed}
first_alerts = read_metadata(run.require("first_alerts.parquet"))
for name in real_sky.METADATA_MODELS if folder else ():
    model = real_sky.fit_metadata(name, first_alerts, **options)
    answers[f"{name}, this run's alerts"] = real_sky.predict_metadata(model, objects, shipped.features)
    crossed = real_sky.cross_fit_metadata(name, objects, folds=real_folds, **options)
    answers[f"{name}, other real nights"] = crossed

# %% [markdown]
# ## Adapted to an older survey
#
# Some features count the visits since the survey began, and make a classifier age. An adapter maps them by rank onto
# those of the training set (`twostamp adapt`). It uses no label: the classifier itself estimates the mix of classes.
# Here one is fitted to the packets of each epoch. ALeRCE's training set is not here. The labelled packets until 2022
# stand in for it, and only the later ones are adapted.

# %%
adapted = {}
for name, model in classifiers.items():
    ages = None if name == real_sky.PUBLISHED else run.records.ages
    adapted[f"{name}, adapted"] = real_sky.predict_adapted(model, path, objects, ages)

# %% [markdown]
# ## Some real packets
#
# This run's M0 is trained further on 50, 100 and all real packets of the training nights, at a quarter of the
# learning rate. The same network also learns from the real packets alone. Whole nights are held out, and each is
# predicted once.

# %%
learned = {}
if real_sky.OWN in classifiers:
    start, kept = run.models / "stamp_26", run.models / "real_sky"
    learned = real_sky.cross_fit_networks(path, objects, start, kept, run.params)

# %% [markdown]
# ## Recall by class and epoch
#
# The interval of the balanced accuracy takes the resamples of nights that hold every class, at least half of all.

# %%
note = {"note": "real packets", "source": "code"}
if folder:
    found, bootstrap = answers | adapted | learned, Bootstrap(bootstrap_resamples, seed)
    recalls = real_sky.tabulate_recalls(found, objects, shipped.classes, bootstrap)
    run.save_extra_table(recalls, "real_sky", caption="Recall on labelled real packets by class and epoch.", **note)

# %%
for epoch, part in recalls.groupby("epoch", sort=False) if folder else ():
    print(f"{epoch}, {part['n'].max()} packets of {part['nights'].max()} nights")
    print(part.pivot(index="classifier", columns="what", values="value").loc[list(found)].round(2).to_string(), "\n")

# %%
if folder:
    fig = plot_recalls(recalls, list(answers))
    caption = "Recall on labelled real packets; lines are 95 % intervals over nights, where there are five or more."
    run.save_extra_figure(fig, "real_sky", caption=caption, **note)
    plt.show()

# %%
if folder:
    fig = plot_recalls(recalls, sorted([*classifiers, *adapted]))
    caption = "Recall on labelled real packets with and without an adapter, 95 % over nights."
    run.save_extra_figure(fig, "real_sky_adapted", caption=caption, **note)
    plt.show()

# %%
if learned:
    fig = plot_learning_curve(recalls, real_sky.list_steps(learned), [real_sky.REAL_ALONE, real_sky.PUBLISHED])
    caption = "A simulated network that learns from real packets of other nights, 95 % over nights."
    run.save_extra_figure(fig, "real_sky_learning", caption=caption, **note)
    plt.show()

# %%
shown = {"": real_sky.SHIPPED, "_adapted": f"{real_sky.OWN}, adapted", "_fine_tuned": f"{real_sky.FINE_TUNED} all"}
for ending, name in shown.items() if folder else ():
    if name in found:
        fig = plot_confusions(real_sky.count_confusions(found[name], objects, shipped.classes), shipped.classes)
        caption = f"Confusion at the first packet: {name}."
        run.save_extra_figure(fig, f"real_sky_confusion{ending}", caption=caption, **note)
        plt.show()

# %% [markdown]
# ## How far the simulation is from the sky
#
# A forest tells simulated from real first alerts: an AUC of 0.5 says that it cannot. The constants of the simulated
# survey are set on two thirds of the nights (`is_judging_night`); here are the others.

# %%
if folder:
    judging = select_judging(objects)
    for name, shown in (("real_sky_telling", True), ("real_sky_telling_no_coordinates", False)):
        telling = realism_auc(first_alerts, judging, seed, coordinates=shown)
        run.save_extra_table(telling, name, caption="How well a forest tells simulated from real first alerts.", **note)
        print(telling.round(2).to_string(index=False))
    fields = compare_metadata(first_alerts, judging)
    run.save_extra_table(fields, "real_sky_fields", caption="Simulated and real first alerts, field by field.", **note)

# %% [markdown]
# ## At the second packet
#
# The shipped classifier revises its own answer. This run's stacked and separated classifiers (M1, M2) stand beside
# its M0. Few objects have two real packets here, and fewer their true first two. An answer is *mended* where only the
# second is right, *spoiled* where only the first is.

# %%
if folder:
    changes = real_sky.tabulate_changes(run.models, folder / "pairs.parquet")
    run.save_extra_table(changes, "real_sky_pairs", caption="What the second real packet changes, in objects.", **note)
    print(changes.to_string(index=False))

# %% [markdown]
# ## What was found

# %%
for line in real_sky.summarise_recalls(recalls) if folder else [NO_PACKETS]:
    print(line)
