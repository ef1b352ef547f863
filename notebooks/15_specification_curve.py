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
# **Question.** The thesis leaves a dozen choices open: how stamps are normalised and cropped, which metadata there are, what
# is batch-normalised, dropped out, warmed up. Does the second alert help whatever one decides, or only for some decisions?
#
# **In.** The pairs of notebook 01, the records of 03, the winner of 04. **Out.** The effect of the second alert in every
# specification tried, their curve (Simonsohn et al. 2020), a test of all together, and which switch matters.

# %%
from twostamp.analysis import specification_curve
from twostamp.evaluation import Bootstrap
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
# The first column is what this run does by itself (with the hyper-parameters of the winner of notebook 04), the others are
# the defensible alternatives. Numbers in brackets are those of the list of decisions.

# %%
if not reason:
    default = specification_curve.default_specification(params, best.hyperparameters)
    switches = specification_curve.tabulate_switches(default)
    run.save_extra_table(switches, "switches", caption="Choices that the thesis leaves open.", source="code")
    print(switches.to_string(index=False))

# %% [markdown]
# ## Which specifications
#
# The run's own first, then one switch at a time, then a seeded sample of all combinations. Every preparation of stamps is
# written once, with the run's own split: all specifications are judged on the same test objects.

# %%
if not reason:
    chosen = specification_curve.draw_specifications(default, params.specification_count, params.seed)
    way = (run.require("pairs.parquet"), run.require("records"), run.data / "specifications", params)
    records = specification_curve.write_preparations(chosen, *way)
    print(f"{len(chosen)} specifications, {len(records)} preparations of stamps")

# %% [markdown]
# ## Two models each
#
# One alert and two, built, prepared and trained alike, on Spark, one task a training. A one-alert model that several
# specifications share is trained once. In quick the networks have a quarter of the width.

# %%
if not reason:
    way = (best.hyperparameters, records, run.models / "specifications", params)
    trained = specification_curve.train_specifications(chosen, *way)
    truth = specification_curve.read_labels(run.records.info.counts["test"])
    right = specification_curve.stack_right(trained, truth)
    failed = specification_curve.list_failures(trained)
    reason = "" if right else "no specification has both models"
    print(f"{len(right)} of {len(chosen)} have both models; failed trainings: {len(failed)}")

# %% [markdown]
# ## The curve
#
# Accuracy on test of two alerts minus one. Intervals are over test objects, the same draw for both models, and over
# repetitions where there are several; with one they do not hold how trainings vary.

# %%
if not reason:
    bootstrap = Bootstrap(params.bootstrap_resamples, params.seed)
    effects = specification_curve.tabulate_effects(chosen, right, truth, bootstrap)
    caption = f"Two alerts minus one in {len(effects)} specifications, {len(truth)} test objects, 95 % intervals."
    run.save_extra_figure(plot_curve(effects), "specification_curve", caption=caption)
    run.save_extra_table(effects, "specification_curve", caption=caption)

# %% [markdown]
# ## All together
#
# The specifications share objects and are much alike, so that a share has a wide interval however many there are. The null
# exchanges the answers of the two models object by object, in all specifications at once.

# %%
if not reason:
    together = specification_curve.check_joint_null(right, truth, bootstrap)
    caption = "All specifications together: observed, and expected if the labels of the models meant nothing."
    run.save_extra_table(together, "specifications_together", caption=caption)
    print(together.round(4).to_string(index=False))

# %% [markdown]
# ## Which switch matters
#
# Means over the specifications that have a level. With one switch at a time most levels are one specification against all
# others, and differences of a point or two say nothing.

# %%
if not reason:
    by_level = specification_curve.compare_levels(effects)
    caption = "Mean accuracy on test and effect of the second alert by level of each switch."
    run.save_extra_table(by_level, "specification_levels", caption=caption)
    print(by_level.round(3).to_string(index=False))

# %% [markdown]
# ## What was found

# %%
print(f"Nothing: {reason}." if reason else "\n".join(specification_curve.summarise_curve(effects, together)))
