"""The plan of a search: what it counts and how it adds up."""

import json

import pandas as pd
import pytest

from tests import PARAMS
from twostamp.models.architectures import build_model
from twostamp.models.search import make_trials
from twostamp.params import Parameters, read_parameters
from twostamp.pipeline import plan

MINE = plan.Machine("mine", "tensorflow", "processor", "fp32", workers=12, price=1.5)


def make_rates(*rows):
    columns = ["variant", "crop_size", "kernel_size", "batch_size", "rate"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(engine="tensorflow", card="processor", precision="fp32", width=1.0, source="a test")


def test_hours_add_up_over_trials_and_are_shared_by_workers():
    params = Parameters(
        search_variants=["stamp_23", "separated"], grid_batch_size=[64], grid_crop_size=[21, 63], n_combinations=4,
        grid_learning_rate=[0.001, 0.005], n_repetitions=3, epochs=10, width=1.0,
    )  # fmt: skip
    kinds = [(v, c, 3, 64) for v in params.search_variants for c in (21, 63)]
    rates = make_rates(*((*kind, rate) for kind, rate in zip(kinds, (100.0, 10.0, 50.0, 5.0), strict=True)))
    table = plan.plan_trials(params, rates, 100, MINE).set_index("variant")
    objects = 10 * 128  # a last batch that is not full counts whole
    expected = sum(3 * 2 * objects / rate / 3600 for rate in (100.0, 10.0))
    assert table.loc["stamp_23", "worker hours"] == pytest.approx(expected)
    assert table.loc["separated", "worker hours"] == pytest.approx(2 * expected)
    assert table.loc["total", "trials"] == len(make_trials(params)) == 24
    assert table.loc["total", "hours"] == pytest.approx(3 * expected / 12)
    assert table.loc["total", "USD"] == pytest.approx(3 * expected / 12 * 1.5)


def test_every_shape_is_compiled_once():
    params = Parameters(
        search_variants=["stacked"], grid_batch_size=[64], grid_learning_rate=[0.001, 0.005], n_combinations=2,
        n_repetitions=3, epochs=1, width=1.0,
    )  # fmt: skip
    rates = make_rates(("stacked", 21, 3, 64, 1e9))
    slow = plan.Machine("slow to compile", "tensorflow", "processor", "fp32", 1, 1.0, compile_seconds=36.0)
    assert plan.plan_trials(params, rates, 64, slow).iloc[-1]["hours"] == pytest.approx(0.01, rel=1e-4)


def test_the_baseline_of_alerce_counts_with_as_many_repetitions():
    params = Parameters(search_variants=["stacked"], n_repetitions=3, epochs=2, alerce_baseline=True, width=1.0)
    rates = make_rates(("stacked", 21, 3, 64, 1.0), ("stamp_alerce", 21, 5, 64, 1.0))
    table = plan.plan_trials(params, rates, 100, MINE).set_index("variant")
    assert table.loc["stamp_alerce", "trials"] == 3
    assert table.loc["stamp_alerce", "worker hours"] == pytest.approx(3 * 2 * 128 / 3600)  # batches of 64
    assert table.loc["total", "trials"] == len(make_trials(params)) + 3


def test_what_was_not_measured_is_scaled_by_its_operations_from_what_is_like_it():
    rates = make_rates(("stacked", 21, 3, 64, 100.0), ("stacked", 21, 3, 256, 300.0), ("separated", 63, 3, 64, 10.0))
    wanted = [("stacked", 21, 3, 128, 1.0), ("stacked", 63, 3, 64, 1.0), ("stacked", 21, 3, 512, 0.5)]
    found = plan.estimate_rates(pd.DataFrame(wanted, columns=plan.KIND), MINE, rates)["rate"].tolist()
    operations = [plan.count_operations(v, c, k, w) for v, c, k, _, w in wanted]
    assert found[0] in (100.0, 300.0)
    assert found[1] == pytest.approx(10.0 * plan.count_operations("separated", 63, 3) / operations[1])
    assert found[2] == pytest.approx(300.0 * plan.count_operations("stacked", 21, 3) / operations[2])


def test_a_machine_without_a_rate_is_refused_by_name():
    other = plan.Machine("a machine of tomorrow", "jax", "NVIDIA X1", "bf16", 1, 1.0)
    with pytest.raises(ValueError, match="no rate of a machine of tomorrow is known: make bench ROWS=accelerator"):
        plan.estimate_rates(pd.DataFrame([("stacked", 21, 3, 64, 1.0)], columns=plan.KIND), other, plan.read_rates())


@pytest.mark.parametrize(("variant", "kernel"), [("stacked", 3), ("separated", 5), ("stamp_23", 3)])
def test_operations_are_those_of_the_network_that_is_built(variant, kernel):
    model = build_model(variant, n_classes=5, crop_size=41, kernel_size=kernel, dropout_rate=0.3, width=0.5)
    names = [f"deephits{suffix}" for suffix in (("_1", "_2") if variant == "separated" else ("",))]
    products = 0
    for name in names:
        shape = (1, 41, 41, 6 if variant == "stacked" else 3)
        for stage in model.get_layer(name).stages:
            shape = (1, *stage.compute_output_shape(shape)[1:])
            if hasattr(stage, "kernel"):
                places = shape[1] * shape[2] if len(shape) == 4 else 1
                products += 4 * places * stage.kernel.shape.num_elements()
    assert plan.count_operations(variant, 41, kernel, 0.5) == pytest.approx(6 * products, rel=0.01)


def test_rates_measured_here_come_first(monkeypatch, tmp_path):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    row = {"engine": "jax", "card": "NVIDIA H100 80GB HBM3", "variant": "stacked", "crop_size": 21, "kernel_size": 3}
    row |= {"batch_size": 256, "width": 1.0, "precision": "bf16", "rate": 5.0, "bare": 6.0, "without": ""}
    rows = [row, row | {"without": "validation", "rate": 7.0}, row | {"failed": "out of memory"}]
    del rows[2]["rate"]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "accelerator.json").write_text(json.dumps({"machine": {}, "rows": rows}))
    assert plan.read_rates()["rate"].tolist()[:2] == [5.0, 89300]
    found = plan.estimate_rates(pd.DataFrame([row]), plan.MACHINES[2], plan.read_rates())
    assert found.values.tolist() == [[5.0, "measured here"]]


def test_the_thesis_is_a_matter_of_two_days_on_one_card_and_of_years_on_two_cores():
    params = read_parameters(PARAMS / "thesis.yaml", without=("archive", "labels"))
    params = params.model_copy(
        update={"search_variants": ["stamp_23", "stacked", "separated"], "alerce_baseline": False}
    )
    hours = plan.compare_machines(params, plan.read_rates(), n_objects=62_743).set_index("machine")["hours"]
    assert len(plan.list_trainings(params)) == 1050
    assert hours["one H100, bfloat16"] < 48
    assert hours["two cores"] > 10_000


def test_the_thesis_has_1050_trainings_of_its_own_and_as_many_objects_as_its_cap_allows(monkeypatch, tmp_path):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    params = read_parameters(PARAMS / "thesis.yaml", without=("archive", "labels"))
    assert len(make_trials(params)) == 1400  # M0 twice, with 23 metadata and with 26 (M10)
    assert len({trial.variant for trial in make_trials(params)} - {"stamp_26"}) * 70 * 5 == 1050
    assert plan.count_training_objects(params)[0] == 5 * 29_700
