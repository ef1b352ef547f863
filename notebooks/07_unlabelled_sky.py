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
# # 07 Unlabelled sky
#
# **Question.** Do unlabelled objects lie where their predicted class should: asteroids along the ecliptic, variable
# stars in the Galactic plane, supernovae and AGN away from it?
#
# **In.** The archive or ALeRCE's database, the labels (to exclude labelled objects), and the best stacked model of
# notebook 04. **Out.** `unlabelled_pairs.parquet`, `predictions.parquet`, its counts per HEALPix pixel, and figure 6.6.
# 04. **Out.** `unlabelled_pairs.parquet`, `predictions.parquet` and its counts per HEALPix pixel, figure 6.6.

# %%
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt

from twostamp.alerts import extract_first_two
from twostamp.analysis import unlabelled_sky
from twostamp.models import PRETRAINED, load_classifier, predict_on_spark
from twostamp.pipeline import open_run
from twostamp.plots.sky_maps import plot_sky_maps
from twostamp.utils import make_spark, outputs_root, write_healpix_counts

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
spark_master = "local[*,4]"
cone_step = 10.0
cone_radius = 7.0710678
cone_cap = 5000
min_dec = -31.0
unlabelled_from = "archive"
deltajd_max = 100.0
healpix_nside = 16

# %%
run = open_run("07_unlabelled_sky", globals())
params = run.params
survey = run.require("survey") if run.simulated else None

# %% [markdown]
# ## Cones on the sky
#
# The thesis searches cones on a grid of 10° with a radius of $10\sqrt{2}$ "arcseconds", which would find almost
# nothing. In degrees the cones would cover the sky nine times over. Here the radius is $5\sqrt{2}$ degrees, the
# smallest that covers the sphere. Each cone gives at most `cone_cap` objects, drawn at random with the seed (decision
# D6). Objects come from the keys that notebook 01 stored, or from ALeRCE's database (`unlabelled_from`).

# %%
spark = make_spark(params.spark_master)
alerts, selected, counts = unlabelled_sky.find_unlabelled(spark, params, run.data)

# %% tags=["nbval-check-output"]
print(f"{len(unlabelled_sky.cone_centres(params.cone_step, params.min_dec))} cones")
for what, number in counts.items():
    print(f"{what:30}{number:8d}")

# %%
seen = counts.get("objects in the archive", "not counted by the database's cones")
run.record_number("3", "objects seen by the survey", seen, note="in the archive, labelled or not")
run.record_number("6.6", "step of the cones", f"{params.cone_step:g} deg")
run.record_number("6.6", "detections of an unlabelled object at least", unlabelled_sky.MIN_ALERTS)
run.record_number("6.6", "radius of the cones", f"{params.cone_radius:.4g} deg", note="a parameter (D6)")
run.record_number("6.6", "unlabelled objects found", counts["selected"], note="in cones, two alerts or more (D6)")

# %% [markdown]
# ## Their first two alerts
#
# The extraction is that of the labelled objects, without labels. The same limit on the time between the two alerts
# follows.

# %%
report = extract_first_two(spark, alerts, selected[["objectId"]], run.data, prefix="unlabelled_")

# %% tags=["nbval-check-output"]
pairs = pd.read_parquet(run.data / "unlabelled_pairs.parquet", columns=["objectId", "deltajd"])
recent = pairs.loc[pairs["deltajd"] <= params.deltajd_max, "objectId"]
found = f"{counts['selected']} objects found, {len(pairs)} with two whole alerts"
print(f"{found}, {len(recent)} within {params.deltajd_max:g} d")

# %%
run.record_number(
    "6.6", "unlabelled objects with deltajd <= 100 d", len(recent), note=f"of {len(pairs)} with two alerts"
)
run.record_number("6.11", "unlabelled objects predicted", len(recent))

# %% [markdown]
# ## Predictions of the model
#
# The model is the best stacked combination, in the repetition with the highest validation accuracy, with the scaler of
# its own training set. A run without two-alert models can use those of another run (`pretrained_run`). Spark
# distributes the parts of the table to its workers, each of which loads the model once. Finished parts are kept.

# %%
root = outputs_root() / (params.pretrained_run or params.run_name)
model = root / "models" / "stacked"
reason = "no unlabelled object has two alerts" if recent.empty else "" if model.exists() else "no stacked model"
if reason:
    run.missing("6.6", reason)

# %%
predicted = run.data / "predictions.parquet"
if not reason:
    way = (run.data / "unlabelled_pairs.parquet", model, predicted)
    predict_on_spark(spark, *way, deltajd_max=params.deltajd_max)
    beside = run.data / "predictions_shipped.parquet"
    predict_on_spark(spark, way[0], PRETRAINED, beside, deltajd_max=params.deltajd_max)
    predictions = pd.read_parquet(predicted).sort_values("objectId", ignore_index=True)
    classes = list(predictions.columns[3:-1])
spark.stop()

# %%
if not reason:
    maps = write_healpix_counts(predicted, run.data / "predictions_healpix.parquet", params.healpix_nside, classes)
    pixels = {name: maps[name].to_numpy() for name in classes}
    fig = plot_sky_maps(predictions, pixels, plt.figure(figsize=(7, 6)))
    caption = (
        f"{len(predictions)} unlabelled objects by predicted class, Galactic coordinates; the line is the ecliptic."
    )
    note = f"model {load_classifier(model).card['training']['trial']}"
    run.save_figure(fig, "6.6", caption=caption, note=note)

# %% [markdown]
# ## Do they lie where they should?

# %%
if not reason:
    medians = unlabelled_sky.median_latitudes(predictions, classes)
    expectations = unlabelled_sky.check_expectations(medians)
    run.save_extra_table(medians.reset_index(), "unlabelled_latitudes", caption="Where the predicted classes lie.")
    display(medians.round(1), expectations)

# %% [markdown]
# The shipped classifier, trained on another simulated survey, answers for the same objects. The table has the share of each
# predicted class.

# %%
if not reason:
    found = {"this run's stacked": predictions, "shipped, trained on another survey": pd.read_parquet(beside)}
    shares = pd.DataFrame({name: table["predicted"].value_counts(normalize=True) for name, table in found.items()})
    shares = shares.reindex(classes).fillna(0.0).T.rename_axis("classifier").reset_index()

# %%
if not reason:
    run.save_extra_table(shares, "unlabelled_shares", caption="Shares of the predicted classes of unlabelled objects.")
    display(shares.round(3))

# %% [markdown]
# The true class of simulated objects is available. A sky map cannot distinguish a good model from one that has only
# learned the coordinates, which are among its inputs. This comparison can.

# %%
if run.simulated and not reason:
    truth = pd.read_csv(survey / "truth.csv", keep_default_na=False).set_index("objectId")["classALeRCE"]
    true_class = predictions["objectId"].map(truth).rename("true")
    agreement = pd.crosstab(true_class, predictions["predicted"], normalize="index").reset_index()
    run.save_extra_table(agreement, "unlabelled_agreement", caption="True and predicted classes of unlabelled objects.")
    display(agreement.round(2))

# %% [markdown]
# ## What was found

# %%
if reason:
    print(f"Figure 6.6 is missing: {reason}.")
else:
    for expectation, found, verdict in expectations.itertuples(index=False):
        print(f"{expectation}: {verdict} ({found}).")
    if run.simulated:
        right = (true_class == predictions["predicted"]).mean()
        print(f"{100 * right:.0f} % of {len(predictions)} simulated objects are predicted as what they are.")
