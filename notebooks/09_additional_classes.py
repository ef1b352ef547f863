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
# # 09 Additional classes
#
# **Question.** Can two alerts separate more than five classes (section 6.10): young stellar objects from other variable
# stars, or every subclass from every other?
#
# **In.** The pairs of notebook 01 and the winner of notebook 04. **Out.** Figure 6.11, records with the new classes,
# and the ledger's rows for section 6.10.

# %%
from twostamp.analysis import additional_classes
from twostamp.analysis.dataset_preparation import make_split_table
from twostamp.data import read_metadata
from twostamp.evaluation import format_repeats, report_mean_std
from twostamp.models import SearchResults
from twostamp.pipeline import open_run, record_numbers
from twostamp.plots.confusion import plot_confusions

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
cap_per_class = 200
validation_per_class = 25
test_per_class = 25
promote = ["YSO"]
promote_repetitions = 2
epochs = 20
workers = 2
report_weights = "last"

# %%
run = open_run("09_additional_classes", globals())

# %% [markdown]
# ## New classes, cap and split
#
# `promote` names the subclasses that become classes; `all` makes a separate data set in which every subclass is a
# class. The order is filter, promotion, cap and split, so a promoted class has its own cap. A subclass is smaller than
# a class: validation and test take at most a fifth of the smallest. Subclasses that are too small are dropped and
# counted.

# %%
pairs_path = run.require("pairs.parquet")
promoted, refused = additional_classes.promote_all(read_metadata(pairs_path), run.params)
print("\n".join(f"{name}: {why}" for name, why in refused.items()) or "every data set can be made")

# %%
for name, data in promoted.items():
    print(f"{name}: classes {', '.join(data.classes)}")
    print(f"validation and test objects a class: {data.per_class}; dropped as too small or unspecified: {data.dropped}")
    print(make_split_table(data.table).to_string(index=False))

# %% [markdown]
# ## Training
#
# The stacked classifier is trained with the hyper-parameters of the best combination of notebook 04. Only its last
# layer grows.

# %%
best = SearchResults.read(run.require("search"), run.params.report_weights).of("stacked").best
trained = additional_classes.train_promoted(promoted, best, pairs_path, run.data, run.models, run.params, run.mark)
accuracies = {name: format_repeats(trials.accuracies("test")) for name, trials in trained.items()}
print(accuracies)

# %% [markdown]
# ## Figure 6.11
#
# Figure 6.11 shows the first data set; the others have their own figures.

# %%
figures, reports = {}, {}
for name, trials in trained.items():
    splits = {split: trials.confusions(split) for split in ("validation", "test")}
    figures[name] = plot_confusions(splits, promoted[name].classes)
    reports[name] = report_mean_std(trials.confusions("test"), promoted[name].classes)

# %%
first = next(iter(figures), None)
reason = "; ".join(refused.values()) or "no stacked classifier was trained in this run"
if first is None:
    run.missing("6.11", reason)
else:
    note = f"{first} promoted, {len(promoted[first].classes)} classes, test accuracy {accuracies[first]}"
    note = f"{note}, {promoted[first].per_class['test']} test objects a class"
    caption = f"Stacked classifier with more classes: {note}."
    run.save_figure(figures[first], "6.11", caption=caption, ours=accuracies[first], note=note)
figures.get(first)

# %%
for name, report in reports.items():
    stem, caption = f"promoted_{promoted[name].name}", f"{name} promoted, test accuracy {accuracies[name]}."
    run.save_extra_table(report, stem, caption=f"Precision, recall and F1 on test, {caption}")
    if name != first:
        run.save_extra_figure(figures[name], stem, caption=f"Stacked classifier, {caption}")

# %% [markdown]
# ## The thesis's printed numbers

# %%
with_yso = reports.get("YSO")
sn = None if with_yso is None else with_yso.set_index("class")["recall"].get("SN")
sizes = (
    "" if with_yso is None else f"n = {len(trained['YSO'])}; {promoted['YSO'].per_class['test']} test objects a class"
)
numbers = [
    ("6.10", "accuracy with YSO as a class (test)", accuracies.get("YSO")),
    ("6.10", "SN as SN with YSO as a class (test)", sn),
]
absent = "; ".join(refused.values()) or "YSO alone was not promoted in this run"
record_numbers(run, numbers, absent, note=sizes)

# %% [markdown]
# ## What was found

# %%
for name, report in reports.items():
    scores = report[report["class"] != "macro"].set_index("class")["f1_mean"].sort_values()
    print(f"{name}: test accuracy {accuracies[name]}, F1 by class {scores.round(2).to_dict()}")
print(f"thesis, YSO promoted: accuracy 0.912 ± 0.003, SN as SN 0.93 ± 0.01; here {accuracies.get('YSO')}, {sn}")

# %%
if best is not None:
    print(f"the run's own classes, best repetition of notebook 04: {best.accuracy('test'):.3f}")
print("\n".join(f"{name} not done: {why}" for name, why in refused.items()) or "no data set was refused")
