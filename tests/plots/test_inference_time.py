"""Times by batch size: a percentile that was not measured is neither drawn nor in the legend."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from twostamp.plots.inference_time import plot_time_batch


@pytest.mark.parametrize(("p99", "drawn"), [([9.0, np.nan], True), ([np.nan, np.nan], False)])
def test_a_percentile_without_enough_repeats_is_not_in_the_legend(p99: list[float], drawn: bool) -> None:
    timed = pd.DataFrame({"batch_size": [1, 10], "mean": [4.0, 10.0], "std": 1.0, "median": [3.7, 9.6], "p99": p99})
    ax = plot_time_batch(timed, plt.figure().subplots())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert ("99th percentile" in labels) == drawn
    plt.close("all")
