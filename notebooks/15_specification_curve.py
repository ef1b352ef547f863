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
# # 15 Specification curve
#
# **Question.** Does the second alert help whatever one decides, or only for some decisions? The thesis leaves a dozen
# choices open: how stamps are normalised and cropped, which metadata enter, and what is batch-normalised, dropped out
# and warmed up. The length of training, the width of the network and the number of objects are choices too.
#
# **In.** The pairs of notebook 01, the records of 03, and the winner of 04. **Out.** The effect of the second alert in
# every specification tried, their curve (Simonsohn et al. 2020), a joint test, and the effect of each switch.

# %%
from twostamp.analysis import specification_curve
from twostamp.evaluation import Bootstrap, summarise_claims
from twostamp.inspection import predict_baselines
from twostamp.models import SearchResults
from twostamp.pipeline import open_run
from twostamp.plots.specification_curve import plot_curve

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
width = 0.25
specification_count = 8
specification_repetitions = 1
bootstrap_resamples = 2000
epochs = 20
workers = 2
report_weights = "last"

# %%
run = open_run("15_specification_curve", globals())
params = run.params
best = SearchResults.read(run.require("search"), params.report_weights).of("stacked").best
reason = "this run has no two-alert model" if best is None else ""

# %% [markdown]
# ## The switches
#
# The first column is this run's own choice (with the hyper-parameters of the winner of notebook 04); the others are
# defensible alternatives. Codes in brackets refer to the list of decisions.

# %%
if not reason:
    default = specification_curve.default_specification(params, best.hyperparameters)
    switches = specification_curve.tabulate_switches(default)
    run.save_extra_table(switches, "switches", caption="Choices that the thesis leaves open.", source="code")
    print(switches.to_string(index=False))

# %% [markdown]
# ## Two models per specification
#
# The run's own specification comes first, then one switch at a time, then a seeded sample of all combinations. In each,
# a one-alert and a two-alert model are built, prepared and trained alike, on Spark, one task per training. All are
# evaluated on the run's own test objects. No specification shares its trainings: 20 specifications are 20 trainings of
# either model.

# %%
if not reason:
    chosen = specification_curve.draw_specifications(default, params.specification_count, params.seed)
    way = (run.require("pairs.parquet"), best.hyperparameters, run.models / "specifications", params)
    right, truth = specification_curve.train_specifications(chosen, *way)
    print(f"{len(right)} specifications, {params.specification_repetitions} trainings of either side")

# %% [markdown]
# ## The curve
#
# The curve shows test accuracy with two alerts minus that with one. Intervals are over test objects, with the same
# draws for both models, and over repetitions if there are several. With a single repetition they leave out the
# variation between trainings, and no specification is decided alone. Grey lines: the gain from the second alert of
# classifiers on metadata alone.

# %%
if not reason:
    train, test = (run.records.arrays(split, features="thesis26") for split in ("train", "test"))
    on_metadata = predict_baselines(train, {"test": test}, run.records.info.classes, 1, seed)["test"]
    scores = {name: on_metadata.accuracy(name) for name in on_metadata.probabilities}
    gains = {
        name.partition(",")[0]: score - scores[name.replace("two alerts", "one alert")]
        for name, score in scores.items()
        if name.endswith("two alerts")
    }

# %%
if not reason:
    bootstrap = Bootstrap(params.bootstrap_resamples, params.seed)
    effects = specification_curve.tabulate_effects(chosen, right, truth, bootstrap)
    caption = f"Two alerts minus one in {len(effects)} specifications, {len(truth)} test objects, 95 % intervals."
    run.save_extra_figure(plot_curve(effects, gains), "specification_curve", caption=caption)
    run.save_extra_table(effects, "specification_curve", caption=caption)

# %% [markdown]
# ## All together
#
# The specifications share objects and are strongly correlated, so the interval of a share is wide however many there
# are. It includes the variation of objects and of specifications with their trainings. Under the null hypothesis, the
# predictions of the two models are exchanged object by object, in all specifications at once.

# %%
if not reason:
    together = specification_curve.check_joint_null(right, truth, bootstrap)
    caption = "All specifications together: observed, and expected if the labels of the models meant nothing."
    run.save_extra_table(together, "claims_15", caption=caption)
    print(together.round(4).to_string(index=False))

# %% [markdown]
# ## Which switch matters
#
# The table gives means over the specifications at each level. With one switch at a time, most levels are one
# specification against all others. Differences of a point or two are then not informative.

# %%
if not reason:
    by_level = specification_curve.compare_levels(effects)
    caption = "Mean accuracy on test and effect of the second alert by level of each switch."
    run.save_extra_table(by_level, "specification_levels", caption=caption)
    print(by_level.round(3).to_string(index=False))

# %% [markdown]
# ## What was found

# %%
print(f"Nothing: {reason}." if reason else "\n".join(summarise_claims(together)))
