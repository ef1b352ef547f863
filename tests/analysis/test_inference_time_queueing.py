"""The queue of batches: equal to M/D/1's closed form where the batch is one, and to a literal simulation elsewhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.analysis.inference_time import queueing
from twostamp.plots.inference_time import plot_queue


def cost(n):
    return 0.01 + 0.001 * n


def md1_mean_time(rate, service):
    """Mean time in the queue M/D/1: Poisson arrivals, one server, one constant service time (Pollaczek, Khinchine)."""
    utilisation = rate * service
    return service * (1 + utilisation / (2 * (1 - utilisation)))


@pytest.mark.parametrize("utilisation", [0.2, 0.5, 0.8])
def test_a_batch_of_one_is_m_d_1(utilisation):
    rate, service = utilisation / 0.01, 0.01
    arrivals = queueing.steady_arrivals(rate, 400_000, np.random.default_rng(1))
    mean = queueing.simulate(arrivals, lambda n: service, batch_size=1).mean()
    assert mean == pytest.approx(md1_mean_time(rate, service), rel=0.03)


def simulate_literally(arrivals, service, batch_size):
    """Step from event to event, with a queue that holds the numbers of the alerts."""
    queue, left, now, done = [], list(enumerate(arrivals)), 0.0, {}
    while queue or left:
        if not queue:
            now = max(now, left[0][1])
        while left and left[0][1] <= now:
            queue.append(left.pop(0)[0])
        batch, queue = queue[:batch_size], queue[batch_size:]
        now += service(len(batch))
        done |= dict.fromkeys(batch, now)
    return np.array([done[i] - arrivals[i] for i in range(len(arrivals))])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_simulation_is_the_literal_one(times, batch_size):
    arrivals = np.sort(np.array(times))
    expected = simulate_literally(arrivals, cost, batch_size)
    np.testing.assert_allclose(queueing.simulate(arrivals, cost, batch_size), expected, atol=1e-12)


def test_a_burst_is_worked_off_in_batches():
    arrivals = queueing.burst_arrivals(rate=10, count=8, burst=4)
    times = queueing.simulate(arrivals, cost, batch_size=2)
    np.testing.assert_allclose(times, np.tile([0.012, 0.012, 0.024, 0.024], 2))


def test_an_overloaded_queue_has_no_time():
    table = queueing.compare_batches(cost, [50, 500], [1, 100], count=2000)
    p99 = table.set_index(["rate", "batch_size"])["p99"]
    assert np.isinf(p99[500, 1])
    assert np.isfinite(p99[[(50, 1), (50, 100), (500, 100)]]).all()


def test_the_smallest_batch_that_costs_nothing_is_recommended():
    table = queueing.compare_batches(cost, [5, 500], [1, 10, 100, 1000], count=5000)
    assert queueing.recommend_batch(table, 5)["batch_size"] == 1
    assert queueing.recommend_batch(table, 400)["batch_size"] > 1
    table = queueing.compare_batches(cost, [5000], [1, 10], count=100)
    with pytest.raises(ValueError, match="no batch keeps up with 5000 alerts a second"):
        queueing.recommend_batch(table, 5000)


def test_the_recommendation_is_a_sentence():
    table = queueing.compare_batches(cost, queueing.rate_grid(), [1, 10, 100], count=2000)
    assert queueing.summarise_recommendation(table, queueing.ZTF).startswith(
        "ZTF, 33 alerts/s, one by one: batches of up"
    )
    fast = queueing.Traffic("fast", 3000, 1)
    assert "no batch keeps up with 3000 alerts a second" in queueing.summarise_recommendation(table, fast)


def test_a_burst_wants_large_batches():
    table = queueing.compare_batches(cost, [queueing.RUBIN.rate], [1, 100, 1000], burst=10_000)
    assert np.isinf(table["p99"][0])
    assert table["p99"][2] < table["p99"][1]


def test_surveys_have_the_rates_of_the_thesis():
    assert queueing.ZTF.rate == pytest.approx(33.3, abs=0.1)
    assert queueing.RUBIN.rate == pytest.approx(256.4, abs=0.1)


def test_service_times_meet_the_measured_ones():
    sizes, seconds = [1, 10, 100], [0.004, 0.012, 0.1]
    service = queueing.fit_service_time(sizes, seconds)
    assert [service(n) for n in sizes] == pytest.approx(seconds)
    assert service(1000) == pytest.approx(1.0)


def test_the_figure_has_a_line_a_batch_and_none_for_what_cannot_keep_up():
    compared = queueing.compare_batches(cost, [10, 90, 500], [1, 100], count=500)
    figure = plot_queue({"one by one": compared}, [queueing.ZTF])
    (ax,) = figure.axes
    lines = {line.get_label(): line for line in ax.lines}
    assert len(lines["1"].get_xdata()) == 2
    assert len(lines["100"].get_xdata()) == 3
    assert any("ZTF" in text.get_text() for text in ax.texts)


def test_measured_times_come_as_a_column_of_a_table():
    table = pd.DataFrame({"batch_size": [100, 1], "median": [0.1, 0.01]}, index=[7, 3])
    service = queueing.fit_service_time(table["batch_size"].tolist(), table["median"])
    assert service(1) == pytest.approx(0.01)
    assert service(10) == pytest.approx(0.1**1.5)
