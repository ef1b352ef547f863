"""Figure 6.12 shows every night, and gaps as gaps."""

from matplotlib.figure import Figure

from twostamp.plots.data_extraction import plot_bytes_per_night
from twostamp.utils.dates import longest_gap


def test_every_night_is_a_bar_in_the_panel_of_its_year():
    nights = {"2018-06-01": 4_000_000_000, "2018-06-03": 2_000_000_000, "2020-01-01": 1_000_000_000}
    panels = plot_bytes_per_night(nights, Figure()).axes
    bars = [[(round(bar.get_center()[0]), bar.get_height()) for bar in axes.patches] for axes in panels]
    assert bars == [[(152, 4.0), (154, 2.0)], [], [(1, 1.0)]]


def test_small_nights_are_in_megabytes():
    figure = plot_bytes_per_night({"2018-06-01": 4_000_000}, Figure())
    assert "[MB]" in figure.get_supylabel()


def test_one_night_has_no_gap():
    assert longest_gap(["2018-06-01"]) == 0
