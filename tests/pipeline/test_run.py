import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from twostamp.params import ParameterError, Parameters
from twostamp.pipeline.ledger import Ledger
from twostamp.pipeline.run import MissingInputError, Run, open_run
from twostamp.thesis import read_catalogue

NARROW = "networks of 0.25 of the width"


@pytest.fixture
def run(tmp_path):
    return Run("04_model_search", Parameters(), tmp_path / "quick")


def figure():
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    plt.close(fig)
    return fig


def test_catalogue_has_every_item_once():
    items = read_catalogue()
    items = items[items["kind"] != "number"]
    expected = {
        ("figure", f"{c}.{n}") for c, last in ((1, 2), (2, 21), (3, 9), (4, 3), (6, 12)) for n in range(1, last + 1)
    }
    expected |= {("figure", i) for i in ("A.1", "C.1", "C.2", "C.3", "C.4")} | {("algorithm", "B.1"), ("table", "2.1")}
    expected |= {("table", f"{c}.{n}") for c, last in ((3, 5), (4, 4), (6, 4)) for n in range(1, last + 1)}
    assert len(expected) == 67
    assert sorted(zip(items["kind"], items["id"])) == sorted(expected)


def test_catalogue_numbers_have_distinct_titles():
    numbers = read_catalogue().query("kind == 'number'")
    assert len(numbers) > 30
    assert not numbers.duplicated(["id", "title"]).any()


def test_new_ledger_says_who_has_not_run(run):
    rows = run.ledger.read()
    assert len(rows) == len(read_catalogue())
    assert set(rows["status"]) == {"missing", "third-party"}
    assert rows.query("kind == 'table' and id == '6.4'")["note"].tolist() == [
        "notebook 05_model_comparison has not run"
    ]


def test_ledger_keeps_order_and_rows(run):
    run.record_number("6.8", title := _title("6.8"), "0.5 ± 0.1")
    run.missing("6.6", "no objects")
    rows = Ledger(run.root / "ledger.csv").read()
    assert rows["id"].tolist() == read_catalogue()["id"].tolist()
    done = rows[(rows["id"] == "6.8") & (rows["title"] == title)].iloc[0]
    assert (done["ours"], done["status"]) == ("0.5 ± 0.1", "simulated")
    assert rows[(rows["kind"] == "figure") & (rows["id"] == "6.6")]["note"].item() == "no objects"


def test_spanish_names_replace_english_ones_and_back(tmp_path):
    spanish = Run("04_model_search", Parameters(language="es"), tmp_path / "quick")
    spanish.record_number("5", "epochs", 3)
    spanish.save_figure(figure(), "6.3", caption="A matrix")
    rows = spanish.ledger.read()
    assert rows["title"].tolist() == read_catalogue()["title_es"].tolist()
    assert rows.query("kind == 'number' and id == '5' and title == 'épocas'")["ours"].tolist() == ["3"]
    sidecar = (spanish.figures / "figure_6.3.txt").read_text()
    assert (
        sidecar
        == f"Matriz de confusión para mejor separated two stamp classifier. A matrix (simulated survey; {NARROW})\n"
    )
    english = Ledger(spanish.root / "ledger.csv").read()
    assert english["title"].tolist() == read_catalogue()["title"].tolist()
    assert english.query("kind == 'number' and title == 'epochs'")["ours"].tolist() == ["3"]


def test_a_number_that_needs_no_alerts_says_so(run):
    run.record_number("5", "epochs", 3)
    assert run.ledger.read().query("kind == 'number' and title == 'epochs'")["status"].tolist() == ["code"]


def _title(section):
    return (
        read_catalogue()
        .query("kind == 'number' and id == @section and source in ('data', 'networks')")["title"]
        .iloc[0]
    )


def test_unknown_items_are_errors(run):
    with pytest.raises(KeyError, match=r"no figure 9.9"):
        run.save_figure(figure(), "9.9", caption="x")
    with pytest.raises(KeyError, match=r"no number 6.8"):
        run.record_number("6.8", "no such title", 1)


def test_saved_figure_is_marked_listed_and_byte_stable(run):
    run.save_figure(figure(), "6.3", caption="A matrix")
    first = {p.name: p.read_bytes() for p in run.figures.iterdir()}
    run.save_figure(figure(), "6.3", caption="A matrix")
    assert first == {p.name: p.read_bytes() for p in run.figures.iterdir()}
    assert set(first) == {"figure_6.3.png", "figure_6.3.pdf", "figure_6.3.txt"}
    assert first["figure_6.3.txt"].decode() == f"A matrix (simulated survey; {NARROW})\n"
    row = run.ledger.read().query("kind == 'figure' and id == '6.3'").iloc[0]
    assert row["status"] == "simulated"
    assert row["files"] == "figures/figure_6.3.png;figures/figure_6.3.pdf"


def test_saved_tables_say_what_they_are_made_from(run):
    table = pd.DataFrame({"model": ["a_b"], "accuracy": [0.5]})
    run.save_table(table, "6.4", caption="Models")
    run.save_table(table, "B.1", caption="Cut")
    assert pd.read_csv(run.tables / "table_6.4.csv")["data"].tolist() == [
        "simulated survey; networks of 0.25 of the width"
    ]
    assert "a\\_b" in (run.tables / "table_6.4.tex").read_text()
    assert f"(simulated survey; {NARROW})" in (run.tables / "table_6.4.tex").read_text()
    assert (run.tables / "algorithm_B.1.csv").exists()


def test_missing_input_names_the_notebook(run):
    with pytest.raises(MissingInputError, match="run notebook 03_dataset_preparation"):
        run.require("records")
    (run.data / "records").mkdir()
    assert run.require("records") == run.data / "records"


def test_open_run_refuses_a_misspelt_parameter_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    with pytest.raises(ParameterError, match="did you mean 'epochs'"):
        open_run("04_model_search", {"epocs": 3})
    namespace = {"epochs": 7, "In": [], "json": json}
    assert open_run("04_model_search", namespace).params.epochs == 7
    namespace["accuracy"] = 0.9
    assert open_run("04_model_search", namespace).params.epochs == 7
    assert str(tmp_path) not in capsys.readouterr().out


def test_a_note_stands_beside_what_the_alerts_are(run):
    assert run.width_note == "networks of 0.25 of the width"
    run.save_extra_figure(figure(), "splits", caption="Splits", source="networks")
    assert (run.figures / "extra_splits.txt").read_text() == (f"Splits (simulated survey; {NARROW})\n")
    run.save_extra_table(pd.DataFrame({"a": [1]}), "rates", caption="Rates", note="random numbers", source="code")
    assert pd.read_csv(run.tables / "extra_rates.csv")["data"].tolist() == ["random numbers"]
    whole = Run("10_significance", Parameters(width=1.0), run.root)
    whole.save_extra_figure(figure(), "splits", caption="Splits")
    assert (run.figures / "extra_splits.txt").read_text() == "Splits (simulated survey)\n"


def test_narrow_networks_are_named_in_the_ledger(run):
    run.save_figure(figure(), "6.3", caption="A matrix", note="n = 5")
    row = run.ledger.read().query("kind == 'figure' and id == '6.3'").iloc[0]
    assert row["note"] == "n = 5; networks of 0.25 of the width"
    run.record_number("6.1", "stamp, accuracy (test)", "0.8")
    assert "networks of 0.25" in run.ledger.read().query("title == 'stamp, accuracy (test)'")["note"].item()


@pytest.mark.parametrize(("notebook", "width"), [("03_dataset_preparation", ""), ("04_model_search", f"; {NARROW}")])
def test_extras_are_of_networks_from_notebook_04_on(tmp_path, notebook, width):
    run = Run(notebook, Parameters(), tmp_path / "quick")
    run.save_extra_table(pd.DataFrame({"a": [1]}), "rates", caption="Rates")
    assert pd.read_csv(run.tables / "extra_rates.csv")["data"].tolist() == [f"simulated survey{width}"]


def test_what_a_notebook_leaves_out_is_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "parameters.yaml").write_text("run_name: mine\nepochs: 5\nseed: 7\n")
    params = open_run("04_model_search", {"run_name": "mine", "epochs": 3}).params
    assert (params.epochs, params.seed) == (3, 7)
    assert open_run("04_model_search", {"run_name": "other"}).params.seed == Parameters().seed
