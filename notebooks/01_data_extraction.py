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
# # 01 Data extraction
#
# **Question.** Which are the first two alerts of each labelled object, and what became of all the other alerts?
#
# **In.** An archive of alert packets and a file of labels. By default this notebook writes a simulated survey. With the
# right parameters it fetches labels from several sources, and alerts from ALeRCE's API or ZTF's public archive.
# **Out.** `first_alerts.parquet`, `pairs.parquet` and `quarantine.parquet`; tables 3.1, 3.3 and 3.4, figure 6.12 and
# the numbers of the thesis's sections 3.1 to 3.3.

# %%
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt

from twostamp.alerts import extract_first_two, read_schema
from twostamp.analysis.data_extraction import cluster_cost, compare_with_thesis
from twostamp.data import describe_sources, prepare_inputs, read_labels
from twostamp.pipeline import open_run
from twostamp.plots import data_extraction as plots
from twostamp.simulation import write_survey
from twostamp.taxonomy import SUBCLASSES
from twostamp.utils import longest_gap, make_spark

# %% tags=["parameters"]
run_name = "quick"
seed = 20210901
archive = "simulated"
labels = "simulated"
survey_pairs_per_class = 230
survey_unlabelled_objects = 400
survey_nights = 60
spark_master = "local[*,4]"
core_nodes = 30
core_price = 0.185
master_price = 0.192
cluster_minutes = 36.0

# %%
run = open_run("01_data_extraction", globals())
params = run.params

# %% [markdown]
# ## What an alert holds
#
# ZTF sends each alert as one Avro packet with its schema inside. The schema has grown since 2018, and the reader
# accepts every version. The table shows schema 3.3, the one in the thesis.

# %%
schema = read_schema()
contents = pd.DataFrame(schema["fields"])[["name", "doc"]].set_axis(["field", "description"], axis=1)
run.save_table(contents, "3.1", caption="Contents of a ZTF alert (schema 3.3).")
display(contents)

# %%
candidate = next(field for field in schema["fields"] if field["name"] == "candidate")
run.record_number("3.1.1", "version of the schema of alerts", schema["version"], note="others are read as well")
run.record_number("3.1.2", "fields in candidate", len(candidate["type"]["fields"]), note="schema 3.3")
run.record_number("3.1.3", "side of a whole stamp, pixels", 63)

# %% [markdown]
# ## The archive
#
# By default a run writes the simulated survey: nightly tarballs of packets in the same schema. The survey is written
# once, and again only when its parameters change.
#
# A run on real data assembles its label file and downloads its alerts here. Its parameters name the sources (`archive`,
# `labels` and their options). Files that are already present are not downloaded again. `make alerts` does the same
# before the notebooks.

# %%
if run.simulated:
    written = write_survey(
        run.data / "survey",
        pairs_per_class=params.survey_pairs_per_class,
        unlabelled_objects=params.survey_unlabelled_objects,
        nights=params.survey_nights,
        seed=params.seed,
        known_share=params.survey_known_share,
    )

# %% tags=["nbval-check-output"]
if run.simulated:
    print(f"{written.nights} nights, {written.labelled} labelled objects")

# %%
alerts, label_file = prepare_inputs(params, run.data)
print(describe_sources(params, run.data))

# %% [markdown]
# ## The labels
#
# Three kinds of rows are dropped: repeated labels, objects with two different labels, and CV/Nova, which belongs to no
# class (decision D5). Each subclass gets one canonical name; table 3.3 gives its class.

# %% tags=["nbval-check-output"]
objects, counts = read_labels(label_file)
for what, number in counts.items():
    print(f"{what:30}{number:8d}")

# %%
taxonomy = pd.DataFrame(
    [(s.level1 or "-", s.level2 or "-", s.name, s.class_name or "-") for s in SUBCLASSES],
    columns=["HRF first level", "HRF second level", "subclass", "stamp classifier"],
)
run.save_table(taxonomy, "3.3", caption="ALeRCE's labels and the classes made of them (D5).")
n_level2 = len({subclass.level2 for subclass in SUBCLASSES if subclass.level2})
run.record_number("3.1.4", "classes of the hierarchical random forest's second level", n_level2)
run.save_table(objects.head(10), "3.4", caption="Sample of the label file.")
display(objects.head(10))

# %% [markdown]
# ## The first two alerts of each object
#
# The first pass reads the key of every alert, without its stamps, and stores it, also for notebook 07. The second pass
# opens only the packets that rank first and second in time.
#
# An alert is quarantined if a stamp is missing, unreadable, or of a shape that the chip's edge does not explain. The
# object's next alert is then tried. Two candidates from one exposure count as one observation (D9).

# %%
spark = make_spark(params.spark_master)
report = extract_first_two(spark, alerts, objects, run.data)
spark.stop()

# %% [markdown]
# Every alert read is used, left out for a stated reason, or quarantined. If the counts do not add up, the extraction
# stops with an error.

# %% tags=["nbval-check-output"]
print(*report.lines(), sep="\n")

# %% tags=["nbval-check-output"]
print(report.class_table().to_string(index=False))

# %%
quarantine = pd.read_parquet(run.data / "quarantine.parquet")
display(quarantine["reason"].value_counts().rename("alerts").reset_index())

# %% [markdown]
# ## Alerts per night
#
# The thesis ends with this figure: weeks without alerts stretch deltajd, on which its models rely.

# %%
fig = plots.plot_bytes_per_night(report.bytes_per_night, plt.figure(figsize=(7, 6)))
caption = f"Size of the alerts of each of {len(report.bytes_per_night)} nights (Avro, as transmitted), by year."
run.save_figure(fig, "6.12", caption=caption)

# %% [markdown]
# ## Size, time and cost
#
# The cost of the thesis's cluster follows from its prices and minutes. They give 3.45 USD where the thesis prints 4.93
# (D8). Likewise, 289 077 and 250 000 of 61 million objects are 0.47 % and 0.41 %; the thesis prints 0.004 % for both
# (D7).

# %% tags=["nbval-check-output"]
cost = cluster_cost(params.core_nodes, params.core_price, params.master_price, params.cluster_minutes)
run.save_extra_table(cost, "extraction_cost", caption="Cost of the extraction on a cluster (section 3.2).")
print(cost.round(3).to_string(index=False, na_rep=""))

# %%
of_asteroids = [("classALeRCE", "==", "asteroid")]
asteroids = pd.read_parquet(run.data / "pairs.parquet", columns=["ssdistnr_1", "ssdistnr_2"], filters=of_asteroids)
for section, title, ours, note in compare_with_thesis(report, objects, asteroids, cost):
    run.record_number(section, title, ours, note=note)

# %% [markdown]
# ## What was found

# %%
found, pairs = report.objects["found in the archive"], report.objects["with two alerts"]
square = {name: f"{100 * share:.2f} %" for name, share in report.square_stamps.items()}
print(f"{found} of {len(objects)} labelled objects are in the archive; {pairs} have two alerts with whole stamps and")
print(
    f"{report.objects['with one alert only']} have one. All three stamps are 63 x 63 in {square['first']} of the first"
)
print(f"alerts, {square['second']} of the second and {square['both']} of both (thesis: 98.46, 98.42, 97.59 %).")
print(f"{report.alerts_read} alerts ({report.alert_bytes / 1e6:.0f} MB) from {report.sources} sources took")
print(f"{report.seconds:.0f} s, {report.rate:.0f} alerts a second; {report.written_bytes / 1e6:.0f} MB were written.")
print(f"The longest stretch without alerts lasts {longest_gap(report.bytes_per_night)} nights.")
