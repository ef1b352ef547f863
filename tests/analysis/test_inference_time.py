"""The latency harness: what is called how often, what is chosen, and packets to arrays. Never how fast."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.models.test_results import make_result
from twostamp.alerts.packet import read_packets
from twostamp.analysis.inference_time import latency, stages
from twostamp.analysis.model_comparison import (
    compare_winners,
    make_summary,
    summarise_comparisons,
    summarise_contradiction,
)
from twostamp.data.arrays import arrays_from_table
from twostamp.data.decode import decode_objects
from twostamp.data.features import ALL_FEATURES, Scaler
from twostamp.evaluation.predictions import Predictions
from twostamp.models.architectures import build_model
from twostamp.models.inference import make_server, model_inputs
from twostamp.models.results import SearchResults


def trial(variant, repetition, validation, kernel_size=3, status="done"):
    return make_result(variant, repetition, validation, validation - 0.01, status, kernel_size=kernel_size)


@pytest.fixture
def results():
    rows = [trial(v, r, base + 0.01 * r, k) for v, base in (("stamp_23", 0.80), ("stacked", 0.90), ("separated", 0.88))
            for k in (3, 5) for r in (0, 1)]  # fmt: skip
    rows += [trial("stacked", 0, 0.99, kernel_size=7, status="failed"), trial("separated", 0, 0.97, kernel_size=9)]
    return SearchResults(rows)


def timed(variants):
    rng = np.random.default_rng(1)
    times = [rng.normal(mean, 0.1, 6) for _, mean in variants]
    table = pd.DataFrame({"variant": [name for name, _ in variants], "times": times})
    return table.assign(median=[np.median(t) for t in times])


def test_every_call_is_warmed_up_and_repeated_in_turns():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times = latency.time_calls(calls, repeats=3, warm_up=2)
    assert "".join(order) == "aabb" + "ababab"
    assert {name: values.shape for name, values in times.items()} == {"a": (3,), "b": (3,)}


def test_summary_is_numpys():
    times = np.random.default_rng(1).gamma(2, size=100)
    assert latency.summarise_times(times)["p99"] == pytest.approx(np.quantile(times, 0.99))
    assert latency.summarise_times(times)["std"] == pytest.approx(times.std(ddof=0))


def test_a_slow_call_is_measured_no_longer_than_its_time_and_five_times_at_least(monkeypatch):
    clock = iter(np.arange(0.0, 1e4, 0.5))  # every call takes half a second of this clock
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock))
    for seconds, n in ((1.0, 5), (4.0, 8), (1e3, 20)):
        times = latency.time_calls({"slow": lambda: None}, repeats=20, warm_up=0, seconds=seconds)
        assert times["slow"].tolist() == [500.0] * n


def test_fewer_than_a_hundred_times_have_no_99th_percentile():
    table = latency.tabulate_times(pd.DataFrame(index=[0, 1]), {0: np.arange(100.0), 1: np.arange(99.0)})
    assert table["p99"].isna().tolist() == [False, True]
    assert table["repeats"].tolist() == [100, 99]


def test_batches_larger_than_the_set_start_again():
    inputs = {"stamps_1": np.arange(3), "deltajd": np.arange(3)[:, None]}
    batch = latency.take_batch(inputs, 7)
    np.testing.assert_array_equal(batch["stamps_1"], [0, 1, 2, 0, 1, 2, 0])
    assert batch["deltajd"].shape == (7, 1)


def test_the_best_combinations_of_finished_trials_are_chosen(results):
    chosen = results.rank(1, ("stamp_23", "stamp_26", "stacked", "separated"))
    assert chosen["variant"].tolist() == ["stamp_23", "stacked", "separated"]
    assert chosen["kernel_size"].tolist() == [3, 3, 9]
    assert chosen["trial_id"].str.endswith("-r0").all()
    assert chosen.loc[1, "validation_mean"] == pytest.approx(0.905)
    assert chosen.loc[1, "test_values"] == pytest.approx([0.89, 0.90])
    assert results.rank(5, ("stacked",))["rank"].tolist() == [1, 2]
    assert results.rank(5, ("stamp_26",)).empty


@pytest.fixture(scope="module")
def stacked():
    model = build_model("stacked", n_classes=3, crop_size=21, kernel_size=3, dropout_rate=0.5)
    rng = np.random.default_rng(2)
    arrays = SimpleNamespace(
        **{f"stamps_{i}": rng.normal(size=(40, 21, 21, 3)).astype("f4") for i in (1, 2)},
        **{f"metadata_{i}": rng.normal(size=(40, 26)).astype("f4") for i in (1, 2)},
        deltajd=rng.normal(size=(40, 1)).astype("f4"),
    )
    return model, model_inputs("stacked", arrays)


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_server_gives_what_the_model_gives(stacked, size):
    model, inputs = stacked
    batch = {name: values[:size] for name, values in inputs.items()}
    np.testing.assert_allclose(make_server(model)(batch), model.predict(batch, verbose=0), atol=1e-6)


def test_bfloat16_is_close_and_left_behind(stacked):
    model, inputs = stacked
    exact = model.predict(inputs, verbose=0)
    served = make_server(model, mixed_precision=True)(inputs)
    assert served.dtype == np.float32
    np.testing.assert_allclose(served, exact, atol=2e-2)
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), exact)


def test_a_graph_is_traced_once_for_all_sizes(stacked):
    model, inputs = stacked
    traced = []

    class Spy:
        inputs = model.inputs

        def __call__(self, batch, training):
            traced.append(training)
            return model(batch, training=training)

    server = make_server(Spy())
    for size in (1, 2, 5, 40):
        assert server({name: values[:size] for name, values in inputs.items()}).shape == (size, 3)
    assert traced == [False]


def test_times_are_compared_within_and_between_architectures():
    table = latency.compare_times(timed([("stacked", 1.0), ("stacked", 3.0), ("separated", 5.0)])).set_index("p")
    assert table["reason"].tolist() == ["", "this run has no two such models", ""]
    assert table.index[0] < 1e-6
    assert table.index[2] < 1e-6
    assert (latency.compare_times(timed([("stamp_23", 1.0)]))["reason"] != "").all()


def test_times_that_drift_together_are_no_evidence():
    """Two models alike, each timed 200 times on a machine whose mood changes slowly: few false alarms."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(100):
        moods = rng.normal(size=(2, 200 // 20)).repeat(20, axis=1)
        table = pd.DataFrame({"variant": "stacked", "times": list(10 + moods + rng.normal(0, 0.1, (2, 200)))})
        table["median"] = table["times"].map(np.median)
        found += latency.compare_times(table)["p"].iloc[0] < 0.05
    assert found <= 12  # about 75 of 100 where every time counts


def test_pairs_are_found_in_an_archive_with_damage(tmp_path, make_packet):
    wanted = {"ZTF18a": (1, 2), "ZTF18b": (5, 4), "ZTF18c": (8, 9)}
    keys = [("ZTF18a", 1), ("ZTF18a", 3), ("ZTF18a", 2), ("ZTF18b", 4), ("ZTF18b", 5)]
    for name, candid in keys:
        (tmp_path / f"{name}_{candid}.avro").write_bytes(make_packet(name, candid, 2458000.5 + candid))
    (tmp_path / "ZTF18a_0.avro").write_bytes(b"Obj")
    pairs = stages.find_pairs(str(tmp_path), wanted, 10)
    candids = [[read_packets(data)[0]["candid"] for data in pair] for pair in pairs]
    assert candids == [[1, 2], [5, 4]]
    assert len(stages.find_pairs(str(tmp_path), wanted, 1)) == 1


def test_decoded_packets_are_a_table_that_preparation_takes(make_packet):
    pairs = [(make_packet("ZTF18a", 1, 2458000.5, fid=1), make_packet("ZTF18a", 2, 2458002.5, fid=2))] * 3
    table = decode_objects(pairs, n_alerts=2)
    assert table["deltajd"].tolist() == [2.0] * 3
    assert table[["fid_1", "fid_2"]].iloc[0].tolist() == [1, 2]
    features = np.random.default_rng(1).normal(size=(9, len(ALL_FEATURES)))
    arrays = arrays_from_table(table, Scaler.fit(features, features, np.arange(9.0)), features="thesis26", crop=21)
    assert arrays.stamps_2.shape == (3, 21, 21, 3)
    assert np.isfinite(arrays.metadata_2).all()


def winners(results):
    chosen = results.rank(1, ("stamp_23", "stamp_26", "stacked", "separated"))
    times = {"mean": 2.0, "std": 0.1, "median": 1.9, "p99": 3.0, "repeats": 200}
    return chosen.assign(**times)


def test_table_6_4_has_models_then_tests(results):
    chosen = winners(results)
    validation = compare_winners(chosen, "validation")
    assert validation["comparison"].tolist() == ["M0 (23) < M1", "M0 (23) < M2", "M2 < M1"]
    assert validation["thesis"].tolist() == ["1.668e-5", "1.817e-4", "2.749e-2"]
    nothing = Predictions(np.empty(0, np.int64), (), {})
    table = make_summary(chosen, validation, {"validation": nothing, "test": nothing})
    assert table["model"].tolist()[:3] == ["M0 (23) stamp_23", "M1 stacked", "M2 separated"]
    assert table.loc[1, "accuracy validation"] == "0.905 ± 0.005"
    assert table.loc[1, "thesis test"] == "0.937 ± 0.003"
    assert table.loc[1, "inference [ms]"] == "2.000 ± 0.100"
    assert table.loc[3, "accuracy validation"].startswith("p = ")
    # M2's winner has one repetition
    assert table.loc[5, "accuracy validation"].startswith("undefined")


def test_the_words_are_those_of_the_run(results):
    chosen = winners(results)
    tests = [compare_winners(chosen, split) for split in ("validation", "test")]
    assert "two-sided n = 1: not decided" in summarise_comparisons(tests[0])[-1]
    assert "on validation n = 1: not decided" in summarise_contradiction(*tests)
    without = [table[table["comparison"] != "M2 < M1"] for table in tests]
    assert summarise_contradiction(*without).endswith("This run did not train both.")
