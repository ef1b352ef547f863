"""The plan of a search: what it counts and how it adds up."""

import pandas as pd
import pytest

from tests import PARAMS
from twostamp.models.search import make_trials
from twostamp.params import Parameters, read_parameters
from twostamp.pipeline import plan


def test_hours_add_up_over_trials_and_are_shared_by_workers():
    params = Parameters(
        search_variants=["stamp_23", "separated"], grid_batch_size=[64], grid_crop_size=[21, 63], n_combinations=4,
        grid_learning_rate=[0.001, 0.005], n_repetitions=3, epochs=10, workers=12, threads_per_trial=2, core_price=0.5,
    )  # fmt: skip
    kinds = [(v, c, 3) for v in params.search_variants for c in (21, 63)]
    rates = pd.DataFrame(kinds, columns=["variant", "crop_size", "kernel_size"]).assign(rate=[100.0, 10.0, 50.0, 5.0])
    table = plan.plan_trials(params, rates, n_objects=100).set_index("variant")
    objects = 10 * 128  # a last batch that is not full counts whole
    expected = sum(3 * 2 * objects / rate / 3600 for rate in (100.0, 10.0))
    assert table.loc["stamp_23", "worker hours"] == pytest.approx(expected)
    assert table.loc["separated", "worker hours"] == pytest.approx(2 * expected)
    assert table.loc["total", "trials"] == len(make_trials(params)) == 24
    assert table.loc["total", "hours"] == pytest.approx(3 * expected / 12)
    assert table.loc["total", "USD"] == pytest.approx(3 * expected / 12 * 3 * 0.5)  # 24 cores are three nodes


def test_the_baseline_of_alerce_counts_with_as_many_repetitions():
    params = Parameters(search_variants=["stacked"], n_repetitions=3, epochs=2, alerce_baseline=True)
    kinds = [("stacked", 21, 3, 1.0), ("stamp_alerce", 21, 5, 1.0)]
    rates = pd.DataFrame(kinds, columns=["variant", "crop_size", "kernel_size", "rate"])
    table = plan.plan_trials(params, rates, n_objects=100).set_index("variant")
    assert table.loc["stamp_alerce", "trials"] == 3
    assert table.loc["stamp_alerce", "worker hours"] == pytest.approx(3 * 2 * 128 / 3600)  # batches of 64
    assert table.loc["total", "trials"] == len(make_trials(params)) + 3


def test_the_thesis_has_1050_trainings_of_its_own_and_as_many_objects_as_its_cap_allows(monkeypatch, tmp_path):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    params = read_parameters(PARAMS / "thesis.yaml", without=("archive", "labels"))
    assert len(make_trials(params)) == 1400  # M0 twice, with 23 metadata and with 26 (M10)
    assert len({trial.variant for trial in make_trials(params)} - {"stamp_26"}) * 70 * 5 == 1050
    assert plan.count_training_objects(params)[0] == 5 * 29_700


def test_rates_are_measured_for_every_kind_of_network_of_the_grid(monkeypatch):
    monkeypatch.setattr(plan, "measure_rate", lambda variant, crop, kernel, threads, width: crop * kernel * width)
    sizes = {"grid_crop_size": [21, 63], "grid_kernel_size": [3, 5], "width": 0.5}
    rates = plan.measure_rates(Parameters(**sizes, search_variants=["stacked"], alerce_baseline=True))
    assert rates["rate"].tolist() == [31.5, 52.5, 94.5, 157.5, 52.5]
    assert rates["variant"].tolist() == ["stacked"] * 4 + ["stamp_alerce"]
