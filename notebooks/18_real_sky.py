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
# **Question.** What are classifiers worth on real packets that learned from simulated alerts alone, before and after 2023, and
# what does the second alert change?
#
# **In.** Labelled real packets where `$TWOSTAMP_REAL_ALERTS` names some (without them the notebook says so and shows nothing);
# the classifier that the package ships (`load_classifier()`); this run's classifiers and first alerts. **Out.** Recall by class
# and epoch with intervals over nights, with and without an adapter to an older survey, confusion matrices, and the pairs whose
# answer the second alert changes.
#
# Nothing here has learned from a real packet, but one forest that says so. The simulation is calibrated on real packets, and one
# feature (`redetection_ratio`) was chosen with the labels of 2023 in view. The packets are of few nights: class and epoch are
# confounded, bogus have a threshold on a score for a label, and most packets are not an object's first alert. This shows that a
# classifier works, not how well it does on the survey.

# %%
import matplotlib.pyplot as plt

from twostamp import load_classifier
from twostamp.analysis import real_sky
from twostamp.analysis.exploratory_analysis import compare_metadata, realism_auc
from twostamp.data import NO_PACKETS, extract_real, read_metadata, select_judging
from twostamp.evaluation import Bootstrap
from twostamp.pipeline import open_run
from twostamp.plots.confusion import plot_confusions
from twostamp.plots.real_sky import plot_recalls

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
real_archive = "$TWOSTAMP_REAL_ALERTS"
real_folds = 3
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
# Beside the shipped classifier: this run's own stamp classifier (M0, 26 metadata), ALeRCE's published one where
# `$TWOSTAMP_ALERCE_CHECKPOINT` names it, a forest on the metadata of this run's first alerts, and a forest that learned from the
# real packets of other nights. Forests take the features that do not age.

# %%
answers, objects, classifiers = {}, None, {}
if folder:
    path = folder / "first_alerts.parquet"
    objects = real_sky.read_objects(path)
    classifiers = real_sky.load_classifiers(run.models, run.params.alerce_checkpoint)
    answers = {name: real_sky.predict_objects(model, path) for name, model in classifiers.items()}

# %%
if folder:
    first_alerts = read_metadata(run.require("first_alerts.parquet"))
    forest = real_sky.fit_forest(first_alerts, shipped.classes, shipped.features, seed)
    answers["forest, this run's alerts"] = real_sky.predict_forest(forest, objects, shipped.features)

# %%
if folder:
    crossed = real_sky.cross_fit_forest(objects, shipped.classes, shipped.features, real_folds, seed)
    answers["forest, other real nights"] = crossed

# %% [markdown]
# ## Adapted to an older survey
#
# Features that count visits since the survey began make a classifier age. An adapter maps them by their ranks onto those of the
# training set, with the mix of classes that the classifier itself estimates (`twostamp adapt`). It sees no label. Here one is
# fitted for the packets of each epoch. For ALeRCE's checkpoint, whose training set is not here, the labelled packets until 2022
# stand for that, and only the later ones are adapted.

# %%
adapted = {}
for name, model in classifiers.items():
    ages = None if name == real_sky.PUBLISHED else run.records.ages
    adapted[f"{name}, adapted"] = real_sky.predict_adapted(model, path, objects, ages)

# %%
note = {"note": "real packets", "source": "code"}
if folder:
    bootstrap = Bootstrap(bootstrap_resamples, seed)
    recalls = real_sky.tabulate_recalls(answers | adapted, objects, shipped.classes, bootstrap)
    run.save_extra_table(recalls, "real_sky", caption="Recall on labelled real packets by class and epoch.", **note)

# %%
if folder:
    shown = recalls.assign(row=recalls["epoch"] + ", " + recalls["what"])
    print(shown.pivot(index="row", columns="classifier", values="value").round(2).to_string())

# %%
if folder:
    fig = plot_recalls(recalls[recalls["classifier"].isin(answers)])
    caption = "Recall on labelled real packets; lines are 95 % intervals over nights, where there are five or more."
    run.save_extra_figure(fig, "real_sky", caption=caption, **note)
    plt.show()

# %%
if folder:
    chosen = recalls[recalls["classifier"].isin([*classifiers, *adapted])]
    fig = plot_recalls(chosen.sort_values("classifier", kind="stable"))
    caption = "Recall on labelled real packets with and without an adapter, 95 % over nights."
    run.save_extra_figure(fig, "real_sky_adapted", caption=caption, **note)
    plt.show()

# %%
if folder:
    fig = plot_confusions(real_sky.count_confusions(answers["shipped"], objects, shipped.classes), shipped.classes)
    caption = "Confusion of the shipped classifier at the first packet."
    run.save_extra_figure(fig, "real_sky_confusion", caption=caption, **note)
    plt.show()

# %% [markdown]
# ## How far the simulation is from the sky
#
# A forest tells simulated from real first alerts: an AUC of 0.5 says that it cannot. The constants of the simulated survey are
# set on two thirds of the nights (`is_judging_night`); here are the others.

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
# Few objects have two real packets here, and fewer their true first two. An answer is *mended* where only the second is right,
# *spoiled* where only the first is.

# %%
if folder:
    path = folder / "pairs.parquet"
    early, revised = (real_sky.predict_objects(model, path) for model in (shipped.at_first_alert(), shipped))
    changes = real_sky.compare_answers(early, revised, real_sky.read_objects(path), shipped.classes)

# %%
if folder:
    run.save_extra_table(changes, "real_sky_pairs", caption="What the second real packet changes, in objects.", **note)
    print(changes.to_string(index=False))

# %% [markdown]
# ## What was found

# %%
for line in real_sky.summarise_recalls(recalls) if folder else [NO_PACKETS]:
    print(line)
