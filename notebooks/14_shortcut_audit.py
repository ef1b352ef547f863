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
# # 14 Shortcut audit
#
# **Question.** Does the classifier use the object, or a shortcut: its position on the sky, a single metadata value, the
# edge of an image? Figure 6.6 cannot tell, since the coordinates that it draws are among the inputs.
#
# **In.** The winner of notebook 04, the records of 03, and the unlabelled pairs of 07. **Out.** The dependence of
# predictions on coordinates, permutation importance of forest and network side by side, integrated gradients on stamps,
# and their agreement with occlusion.

# %%
from IPython.display import display

from twostamp import inspection
from twostamp.analysis import shortcut_audit
from twostamp.data import FEATURE_LISTS, read_metadata
from twostamp.evaluation import Bootstrap, summarise_claims
from twostamp.models import SearchResults
from twostamp.pipeline import open_run
from twostamp.plots import shortcut_audit as plots

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
width = 0.25
audit_repetitions = 2
audit_objects = 20
audit_sky_objects = 400
attribution_steps = 16
permutations = 5
forest_count = 20
bootstrap_resamples = 2000

# %%
run = open_run("14_shortcut_audit", globals())
params, records = run.params, run.records
classes = records.info.classes
bootstrap = Bootstrap(bootstrap_resamples, seed)
winners = SearchResults.read(run.require("search"), params.report_weights).winners({"M1": "stacked"})
print("stacked models:", len(winners.get("M1", ())), "" if winners else "(so that only the forest is audited)")

# %% [markdown]
# ## The same classifier without coordinates
#
# The stacked winner is trained again with the same hyper-parameters and all metadata except ra, dec, ecliptic and
# Galactic coordinates.

# %%
if winners:
    best = winners["M1"].best.hyperparameters
    test = records.arrays("test", crop=best.crop_size)

# %%
if winners:
    trained = shortcut_audit.train_with_and_without_coordinates(best, records, run.models / "shortcuts", params)

# %% [markdown]
# ## Predictions on the unlabelled sky
#
# Both classifiers predict the unlabelled objects of notebook 07 (a seeded draw of at most `audit_sky_objects`). Then
# every object keeps its stamps and all other metadata but receives the coordinates of another object. Any change is
# therefore an effect of the coordinates.

# %%
if winners:
    pairs = run.require("unlabelled_pairs.parquet")
    objects = shortcut_audit.draw_objects(read_metadata(pairs), params)
    tests = shortcut_audit.predict_with_and_without_coordinates(trained, pairs, objects, records, params)

# %% [markdown]
# How much of each class's probability does the distance from the Galactic plane explain? For objects with permuted
# coordinates, that distance is the permuted one, to which nothing else in the object corresponds.

# %%
if winners:
    dependence = shortcut_audit.tabulate_dependence(tests, classes, bootstrap)
    caption = "Share of the variance of each class's probability that the Galactic latitude explains."
    run.save_extra_table(dependence, "coordinates_dependence", caption=caption)
    display(dependence.pivot(index="class", columns="coordinates", values="explained").round(3))

# %%
if winners:
    caption = f"Mean probability of each class by |b|, {len(objects)} unlabelled objects."
    run.save_extra_figure(plots.plot_profiles(tests, classes), "coordinates_latitude", caption=caption)

# %%
if winners:
    changes = shortcut_audit.tabulate_changes(tests, classes, bootstrap)
    caption = "Objects whose predicted class changes when they are told the coordinates of another."
    run.save_extra_table(changes, "coordinates_changes", caption=caption)
    worth = shortcut_audit.tabulate_worth(trained, test.labels, dependence, changes, len(objects), bootstrap)
    run.save_extra_table(worth, "claims_14", caption="What hangs on the coordinates, 95 %.")
    display(changes.round(3))

# %% [markdown]
# ## Which metadata: the forest and the network
#
# The forests of notebook 08 are evaluated again, now with both alerts of a feature permuted together. Permuted alone,
# each alert replaces the other and both appear useless. The network of notebook 04 is evaluated in the same way; its
# stamps stay unchanged.

# %%
train, held_out = (records.arrays(split, features="thesis26") for split in ("train", "test"))
trees = {"count": params.forest_count, "trees": params.forest_trees, "n_jobs": params.workers, "grouped": True}
forests = inspection.fit_forests(
    train, held_out, features="thesis26", n_classes=len(classes), seed=params.seed, **trees
)
caption = "Importance of metadata in random forests, both alerts together."
run.save_extra_table(forests.grouped, "importance_forest", caption=caption, source="data")

# %%
if winners:
    of_network = inspection.rank_inputs(winners["M1"], records, params)
    run.save_extra_table(of_network, "importance_network", caption="What the network loses when inputs are shuffled.")
    compared = inspection.compare_importance(forests.grouped, of_network)
    caption = f"Importance of metadata, both alerts together, in {params.forest_count} forests and the stacked network."
    run.save_extra_figure(plots.plot_importances(compared), "importance_side_by_side", caption=caption)

# %% [markdown]
# ## Which pixels
#
# Integrated gradients attribute the log odds of the predicted class. The path runs from the mean of the training set
# (stamps and metadata) to the object, and the result is averaged over the four rotations. The attributions add up to
# the difference in log odds between object and baseline.
#
# So do their sums by kind of input. The comparison takes absolute values of these sums; sums of absolute values would
# favour inputs with many numbers. A network with random weights serves as a control.

# %%
if winners:
    chosen = inspection.choose_objects(test.labels, params.audit_objects, params.seed)
    audited = inspection.load_explained_objects(winners["M1"].best.load(records), test, chosen, records, params.seed)
    attributions = inspection.integrate_gradients(audited, params.attribution_steps)
    random = inspection.integrate_gradients(audited.with_random_weights(params.seed), params.attribution_steps)
    print(inspection.summarise_completeness(audited, attributions))

# %%
if winners:
    shares = inspection.tabulate_attribution_shares(attributions, random, FEATURE_LISTS["thesis26"], bootstrap)
    run.save_extra_table(shares, "attribution_shares", caption="Where the attributions of test objects lie.")
    note = f"the stamps have {inspection.share_of_stamps(shares):.1%} of all attribution"
    display(shares.round(4))

# %%
if winners:
    seen = inspection.share_of_stamps(shares) >= inspection.UNSEEN
    rows = inspection.choose_examples(test.labels[chosen], audited.targets)
    titles = [f"{classes[test.labels[chosen[row]]]}\ncalled {classes[audited.targets[row]]}" for row in rows]
    caption = "Integrated gradients, averaged over rotations, of one test object of each class."
    drawn = attributions if seen else {name: 0 * values for name, values in attributions.items()}
    fig = plots.plot_attributions(audited.inputs, drawn, dict(zip(rows, titles)))
    run.save_extra_figure(fig, "attributions", caption=caption, note=note)

# %% [markdown]
# ## Does occlusion agree?
#
# Occlusion replaces one patch of one image at a time with the baseline's. If the attributions are meaningful, occluding
# the patches with strong attributions changes the log odds most. The agreement should exceed that of three controls:
#
# - the attributions of another object, which also has its source in the middle;
# - those of a network with random weights (Adebayo et al. 2018);
# - the distance of the input from the baseline, which uses no network.

# %%
if winners:
    lost, pooled = abs(inspection.occlude(audited)), inspection.pool_strength(attributions)
    nulls = [inspection.pool_strength(values) for values in (random, inspection.measure_distance(audited))]
    agreed = inspection.check_agreement(pooled, lost, nulls, bootstrap)
    run.save_extra_table(agreed, "attribution_agreement", caption="Attributions against occlusion.")

# %%
if winners:
    fig = plots.plot_agreement(pooled, lost, agreed)
    caption = f"Attributions and occlusion of {len(chosen)} test objects by patch, and how far their ranks agree."
    run.save_extra_figure(fig, "attribution_agreement", caption=caption, note=note)
    display(agreed.round(3))

# %% [markdown]
# ## What was found

# %%
if winners:
    print(*summarise_claims(worth), sep="\n")
    print(*inspection.summarise_importance(compared, of_network), sep="\n")
    print(*inspection.summarise_agreement(shares, agreed), sep="\n")
