"""Comparison of the best models of each architecture (thesis section 6.4, Table 6.4; decisions T6, T7, T10, M10)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.data.arrays import read_metadata
from twostamp.data.splits import filter_pairs
from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import LEVEL, Bootstrap
from twostamp.evaluation.hypothesis_tests import (
    Alternative,
    correct_p_values,
    mcnemar_test,
    welch_from_statistics,
    welch_test,
)
from twostamp.evaluation.metrics import accuracy, class_report, confusion_counts, format_mean_std, format_repeats
from twostamp.evaluation.predictions import Predictions
from twostamp.evaluation.verdicts import make_claim
from twostamp.inspection.baselines import RANDOM
from twostamp.models.architectures import VARIANTS
from twostamp.models.prediction import predict_pairs
from twostamp.models.results import SearchResults
from twostamp.params import Parameters
from twostamp.thesis import (
    ACCURACY,
    INFERENCE,
    P_TITLES,
    P_VALUES,
    PAIRS,
    REPETITIONS,
    SEPARATED,
    STACKED,
    STAMP,
    parse_accuracy,
)
from twostamp.thesis import MODELS as THESIS_MODELS

BASELINES = {"M0 (23)": "stamp_23", "M0 (26)": "stamp_26", "M0 (ALeRCE)": "stamp_alerce"}
TWO_STAMPS = {model: THESIS_MODELS[model] for model in (STACKED, SEPARATED)}
MODELS = BASELINES | TWO_STAMPS
"""Models of Table 6.4; M0 with the printed list of metadata, with that of M1 and M2 (M10), and with ALeRCE's recipe
(T10)."""

COMPARISONS = (*((one, two) for two in TWO_STAMPS for one in BASELINES), (SEPARATED, STACKED))
"""Comparisons; the model that the thesis finds worse comes first."""

PRINTED = {"M0 (23)": STAMP, STACKED: STACKED, SEPARATED: SEPARATED}
"""Models of `MODELS` in the thesis, and their names there."""

SIDES: dict[str, Alternative] = {"one": "less", "two": "two-sided"}
DDOF: tuple[Literal[0, 1], ...] = (0, 1)


def name_models(variants: Iterable[str]) -> dict[str, str]:
    """Name the models of Table 6.4 of a run: `MODELS`, then its other classifiers under their own names.

    Examples
    --------
    >>> list(name_models(["stacked", "stacked_drift_safe"]))
    ['M0 (23)', 'M0 (26)', 'M0 (ALeRCE)', 'M1', 'M2', 'stacked_drift_safe']
    """
    return MODELS | {variant: variant for variant in variants if variant not in MODELS.values()}


def _takes_two(model: str) -> bool:
    return VARIANTS[MODELS.get(model, model)].architecture != "stamp"


def compare_models(samples: Mapping[str, ArrayLike], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Apply Welch's test to several pairs of models: one-sided as in the thesis, and two-sided, which is stricter.

    Parameters
    ----------
    samples : mapping of str to array_like, shape (n,)
        Accuracies of each model's repetitions.
    pairs : sequence of (str, str)
        Models to compare, the supposedly worse one first. A pair with a model without a sample is left out.

    Returns
    -------
    DataFrame
        One row per pair: comparison, n, difference (second mean minus first), one-sided p, two-sided p, and both
        corrected for the number of pairs (Holm). Then the verdict on each corrected p in words, and the reason if p is
        undefined.

    Examples
    --------
    >>> table = compare_models({"M0": [0.91, 0.92, 0.93], "M1": [0.94, 0.95, 0.96]}, [("M0", "M1"), ("M0", "M2")])
    >>> table[["comparison", "n", "one-sided p"]].round(4).to_dict("records")
    [{'comparison': 'M0 < M1', 'n': '3, 3', 'one-sided p': 0.0107}]
    """
    rows = []
    for a, b in (pair for pair in pairs if set(pair) <= set(samples)):
        x, y = np.asarray(samples[a], float), np.asarray(samples[b], float)
        one, two = welch_test(x, y, "less"), welch_test(x, y, "two-sided")
        difference = float(y.mean() - x.mean())
        rows.append((f"{a} < {b}", f"{x.size}, {y.size}", difference, one.p_value, two.p_value, two.reason))
    table = pd.DataFrame(rows, columns=["comparison", "n", "difference", "one-sided p", "two-sided p", "reason"])
    smallest = table["n"].map(lambda text: min(map(int, text.split(", "))))
    for sides in ("one-sided", "two-sided"):
        corrected = correct_p_values(table[f"{sides} p"])
        table[f"{sides} p, Holm"] = corrected
        table[f"{sides} verdict"] = [judge_p(*row) for row in zip(corrected, smallest, table["reason"])]
    return table


def judge_p(p_value: float, n: int, reason: str = "") -> str:
    """Decide whether a corrected p is significant at `LEVEL`; fewer than the thesis's five repetitions are undecided.

    Examples
    --------
    >>> judge_p(1.7e-5, n=5)
    'significant at 0.05 (p = 1.7e-05 after Holm)'
    >>> judge_p(1.7e-5, n=2)
    'n = 2: not decided'
    >>> judge_p(float("nan"), n=5, reason="neither sample has any spread")
    'undefined: neither sample has any spread'
    """
    if n < REPETITIONS:
        return f"n = {n}: not decided"
    if math.isnan(p_value):
        return f"undefined: {reason}"
    return f"{'significant' if p_value < LEVEL else 'not significant'} at {LEVEL} (p = {p_value:.2g} after Holm)"


def compare_winners(winners: pd.DataFrame, split: str) -> pd.DataFrame:
    """Apply Welch's tests between the winners on one set.

    A classifier that is not in `MODELS` is compared with each of those that take as many alerts.

    Parameters
    ----------
    winners : DataFrame
        variant and <split>_values, from `twostamp.models.SearchResults.rank` with one model per variant.
    split : {"validation", "test"}

    Returns
    -------
    DataFrame
        Table from `compare_models`, with the columns set and thesis (its p, for validation).
    """
    values = winners.set_index("variant")[f"{split}_values"]
    samples = {model: values[variant] for model, variant in name_models(values.index).items() if variant in values}
    others = [model for model in samples if model not in MODELS]
    pairs = COMPARISONS + tuple((one, two) for two in others for one in MODELS if _takes_two(one) == _takes_two(two))
    table = compare_models(samples, pairs)
    printed = {f"{a} < {b}": P_VALUES.get((PRINTED.get(a, a), PRINTED.get(b, b)), "") for a, b in pairs}
    thesis = table["comparison"].map(printed) if split == "validation" else ""
    return table.assign(set=split, thesis=thesis)


def list_printed_p(tests: pd.DataFrame) -> list[tuple[str, str | None, str]]:
    """List our values of the three p-values printed in section 6.4.

    Parameters
    ----------
    tests : DataFrame
        Table from `compare_winners` on validation.

    Returns
    -------
    list of (str, str or None, str)
        Title in the ledger, one-sided p (None if undefined), and the sizes of the samples with the verdict.
    """
    names = {thesis: ours for ours, thesis in PRINTED.items()}
    rows = tests[tests["reason"] == ""].set_index("comparison").to_dict("index")
    printed: list[tuple[str, str | None, str]] = []
    for (a, b), words in P_TITLES.items():
        if row := rows.get(f"{names[a]} < {names[b]}"):
            undecided = row["one-sided verdict"].partition(":")[2]
            printed.append((words, f"{row['one-sided p']:.3e}", f"n = {row['n']}" + (undecided and f":{undecided}")))
        else:
            printed.append((words, None, ""))
    return printed


def compare_baselines(networks: Predictions, baselines: Predictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compare networks with metadata baselines of as many alerts, and measure the second alert's gain for each
    baseline.

    Parameters
    ----------
    networks : Predictions
        Predictions by name, as from `name_models`.
    baselines : Predictions
        Predictions from `twostamp.inspection.predict_baselines`, on the same objects.
    bootstrap : Bootstrap
        Bootstrap over objects and repetitions.

    Returns
    -------
    DataFrame
        Table from `twostamp.evaluation.tabulate_claims`, with p (McNemar, for the repetition best on validation, or the
        first).
    """
    correct, right = networks.correct | baselines.correct, networks.right | baselines.right
    pairs = [
        (f"{model} minus {name}", model, name, ("better", "worse"))
        for model in networks.probabilities
        for name in baselines.probabilities
        if name.endswith("two alerts") == _takes_two(model)
    ]
    for name in (name for name in baselines.probabilities if name.endswith("two alerts")):
        one = name.replace("two alerts", "one alert")
        pairs.append((f"{name.partition(',')[0]}: gain of the second alert", name, one, ("gains", "loses")))
    rows = []
    for claim, first, second, words in pairs:
        r = min(len(correct[first]), len(correct[second]))
        means = bootstrap.means({name: correct[name][:r] for name in (first, second)}, networks.labels)
        row = make_claim(claim, (means[first] - means[second]).estimate(), len(networks.labels), r, words)
        rows.append(row | {"p": mcnemar_test(right[first], right[second]).p_value})
    return pd.DataFrame(rows)


def make_summary(winners: pd.DataFrame, tests: pd.DataFrame, *baselines: Mapping[str, Predictions]) -> pd.DataFrame:
    """Make Table 6.4.

    Parameters
    ----------
    winners : DataFrame
        Table from `twostamp.models.SearchResults.rank`, one model per variant, with times.
    tests : DataFrame
        Table from `compare_winners` on validation.
    *baselines : mapping of str to Predictions
        Predictions from `twostamp.inspection.predict_baselines` or `twostamp.models.predict_shipped`, by split; not in
        the thesis.

    Returns
    -------
    DataFrame
        One row per model: accuracy on validation and test, and inference time of one object (ms), each next to the
        thesis's. Then n (trainings), mean, std (ddof 0) and values. Below them one row per comparison with its
        one-sided p.
    """
    by_variant: dict[str, Any] = {row["variant"]: row for row in winners.to_dict("records")}
    present = {
        model: by_variant[variant] for model, variant in name_models(by_variant).items() if variant in by_variant
    }
    rows = [_summarise(model, row) for model, row in present.items()]
    rows += [_summarise_baseline(name, each) for each in baselines if each for name in each["test"].probabilities]
    for test in tests.to_dict("records"):
        p, thesis = test["one-sided p"], test["thesis"]
        shown = f"p = {p:.3g}" if pd.notna(p) else f"undefined: {test['reason']}"
        printed = f"p = {thesis}" if thesis else ""
        rows.append(
            {"model": test["comparison"], "accuracy validation": shown, "thesis validation": printed, "n": test["n"]}
        )
    table = pd.DataFrame(rows).astype(object)
    return table.where(table.notna(), "")


def _summarise(model: str, row: dict[str, Any]) -> dict[str, Any]:
    thesis = PRINTED.get(model, "")
    name = f"{model} {row['variant']}" if model in MODELS else model
    line: dict[str, Any] = {"model": name + (", ours" if not thesis else "")}
    for split in ("validation", "test"):
        line[f"accuracy {split}"] = format_mean_std(row[f"{split}_mean"], row[f"{split}_std"], row["n"])
        line[f"thesis {split}"] = ACCURACY[thesis][split] if thesis else ""
    line["inference [ms]"] = format_mean_std(row["mean"], row["std"], row["repeats"])
    line["thesis inference"] = INFERENCE.get(thesis, "")
    line["n"] = row["n"]
    kinds = [f"{split}_{kind}" for split in ("validation", "test") for kind in ("mean", "std", "values")]
    return line | {kind: row[kind] for kind in kinds} | {f"inference_{kind}": row[kind] for kind in ("median", "p99")}


def _summarise_baseline(name: str, baselines: Mapping[str, Predictions]) -> dict[str, Any]:
    line: dict[str, Any] = {"model": f"{name}, ours"}
    for split, predictions in baselines.items():
        values = predictions.correct[name].mean(axis=1)[: None if name.startswith(RANDOM) else 1]
        line |= {f"accuracy {split}": format_mean_std(values.mean(), values.std(), values.size), "n": values.size}
        line |= {f"{split}_mean": values.mean(), f"{split}_std": values.std(), f"{split}_values": values.tolist()}
    return line


def format_accuracies(winners: pd.DataFrame, split: str) -> dict[str, str]:
    """Format the accuracy of each winner by variant: mean, standard deviation and number of repetitions."""
    return {row["variant"]: format_repeats(row[f"{split}_values"]) for row in winners.to_dict("records")}


def summarise_comparisons(tests: pd.DataFrame) -> list[str]:
    """Summarise each comparison, one sentence per row of `compare_winners`."""
    return [
        f"{row['set']}: {row['comparison']}, difference {row['difference']:+.3f}; "
        f"one-sided {row['one-sided verdict']}; two-sided {row['two-sided verdict']}"
        for _, row in tests.iterrows()
    ]


def summarise_two_stamps(winners: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Summarise whether two stamps beat one, against the baseline that is stronger on validation (T10).

    Parameters
    ----------
    winners : DataFrame
        As for `compare_winners`.
    tests : DataFrame
        Table from `compare_winners` on test, which did not choose the baseline.

    Returns
    -------
    list of str
        One sentence per two-stamp model of the run.
    """
    means = winners.set_index("variant")["validation_mean"]
    baselines = {model: means[variant] for model, variant in BASELINES.items() if variant in means}
    if not baselines:
        return ["This run has no one-stamp classifier to beat."]
    stronger = max(baselines, key=lambda model: baselines[model])
    sentences = []
    for row in tests.to_dict("records"):
        worse, better = row["comparison"].split(" < ")
        if worse == stronger and better in TWO_STAMPS:
            sentences.append(
                f"{better} against {stronger}, the stronger baseline on validation: {row['difference']:+.3f} on test, "
                f"one-sided {row['one-sided verdict']}"
            )
    return sentences or ["This run has no two-stamp classifier."]


def summarise_contradiction(validation: pd.DataFrame, test: pd.DataFrame) -> str:
    """Summarise whether this run's stacked and separated models differ, with the thesis's two statements (T7)."""
    pair = f"{SEPARATED} < {STACKED}"
    printed = make_thesis_table().query("set == 'test'").set_index("comparison").loc[pair]
    thesis = (
        f"The thesis calls {STACKED} better than {SEPARATED} (6.4, validation) and finds no significant difference "
        f"(7.1); from its printed test accuracies the two-sided p is {printed['two-sided, ddof 0']:.3f} (ddof 0) or "
        f"{printed['two-sided, ddof 1']:.3f} (ddof 1)."
    )
    rows = [tests[tests["comparison"] == pair] for tests in (validation, test)]
    if any(row.empty for row in rows):
        return f"{thesis} This run did not train both."
    ours = [f"on {row['set'].iloc[0]} {row['two-sided verdict'].iloc[0]}" for row in rows]
    return f"{thesis} Here, two-sided: {'; '.join(ours)}."


def apply_pretrained(pairs_path: Path, root: Path, params: Parameters) -> pd.DataFrame:
    """Evaluate another run's two-stamp models on the pairs of this one.

    Parameters
    ----------
    pairs_path : Path
        ``pairs.parquet`` of this run; its pairs are filtered as for training.
    root : Path
        Folder of the other run, with its models and records.
    params : Parameters
        Parameters of this run.

    Returns
    -------
    DataFrame
        One row per class and model: model, class, precision, recall, f1, support. The row ``accuracy`` holds the
        accuracy as recall. Empty if the other run has no two-stamp model.
    """
    pairs, _ = filter_pairs(read_metadata(pairs_path), params.deltajd_max, params.ssdistnr_on, params.partnership)
    winners = SearchResults.read(root / "models" / "search", params.report_weights).winners()
    records = Records(root / "data" / "records", params.metadata_recipe)
    ids, tables = pairs["objectId"].tolist(), []
    for trial in (winners[variant][0] for variant in ("stacked", "separated") if variant in winners):
        classifier = trial.load(records)
        classes = list(classifier.classes)
        predicted = predict_pairs(pairs_path, ids, classifier).set_index("objectId")
        counts = confusion_counts(
            pairs["classALeRCE"].map(classes.index), predicted.loc[ids, "predicted"].map(classes.index), len(classes)
        )
        report = class_report(counts, classes)
        whole = {"class": "accuracy", "recall": accuracy(counts), "support": len(ids)}
        report = pd.concat([report, pd.DataFrame([whole])])
        report.insert(0, "model", trial.trial_id)
        tables.append(report)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def make_thesis_table() -> pd.DataFrame:
    """Recompute the thesis's tests from its printed means and standard deviations (T6, T7).

    Returns
    -------
    DataFrame
        One row per comparison and set: comparison, set, printed, then p one- and two-sided with either ddof. The column
        printed is the thesis's p; NaN for the test set, which it does not compare.
    """
    rows = []
    for name in ("validation", "test"):
        for a, b in PAIRS:
            row: dict[str, object] = {"comparison": f"{a} < {b}", "set": name}
            row["printed"] = float(P_VALUES[a, b]) if name == "validation" else math.nan
            one, two = ((*parse_accuracy(model, name), REPETITIONS) for model in (a, b))
            for sides, alternative in SIDES.items():
                for ddof in DDOF:
                    result = welch_from_statistics(*one, *two, ddof=ddof, alternative=alternative)
                    row[f"{sides}-sided, ddof {ddof}"] = result.p_value
            rows.append(row)
    return pd.DataFrame(rows)
