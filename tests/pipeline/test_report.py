"""The report of a run: what it holds, what it refuses, and what a browser says of it at two widths."""

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from tests import REPOSITORY
from tests.browser import Browser
from twostamp.params import Parameters
from twostamp.pipeline.report import OUTDATED, ReportError, collect_chapters, count_statuses, read_table, write_report
from twostamp.pipeline.run import Run
from twostamp.thesis import read_catalogue

REFERENCE = REPOSITORY / "outputs" / "reference"
WIDTHS = {"phone": (390, 844), "desk": (1400, 900)}


def make_run(root: Path, language: str = "en") -> Run:
    """A run with one item of each kind, a caption that could be markup, and an extra table."""
    run = Run("05_model_comparison", Parameters(run_name="tiny", language=language), root=root)
    figure, ax = plt.subplots(figsize=(12, 3))
    ax.plot([1, 2])
    run.save_figure(figure, "6.3", caption="Rows <script>alert(1)</script> & columns.")
    plt.close(figure)
    table = pd.DataFrame({"model": ["M1"], "accuracy test": ["0.938 ± 0.003"], "time": [9.292950000144629]})
    run.save_table(table.assign(test_values=["[0.935, 0.941]"]), "6.4", caption="Best models.", note="of two")
    wide = {f"a column with a long name {i}": [i / 7] * 60 for i in range(20)}
    run.save_extra_table(pd.DataFrame(wide), "wide", caption="Sixty rows.")
    run.record_number("6.1", "stamp, accuracy (test)", "0.648 ± 0.024", note="a note")
    run.missing("6.5", "no model was timed")
    return run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs") / "tiny"
    make_run(root)
    return root


class Page(HTMLParser):
    """What the tests look for in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for _, attrs in self.tags if attribute in attrs]


@pytest.fixture(scope="module")
def page(tiny: Path) -> Page:
    return Page(write_report(tiny).read_text())


def test_every_item_of_the_thesis_has_its_place(page: Page) -> None:
    ids = Counter(page.values("id"))
    assert max(ids.values()) == 1
    for row in read_catalogue().query("kind != 'number'").itertuples():
        assert f"{row.kind}-{row.id.replace('.', '-')}" in ids
    text = " ".join(page.words)
    for row in read_catalogue().query("kind == 'number'").itertuples():
        assert row.title in text


def test_what_the_run_made_stands_beside_the_thesis(tiny: Path, page: Page) -> None:
    text = " ".join(" ".join(page.words).split())
    for shown in (
        "0.938 ± 0.003",
        "9.293",
        "0.648 ± 0.024",
        "0.923 ± 0.005",
        "a note",
        "no model was timed",
        "Sixty rows.",
    ):
        assert shown in text
    assert "[0.935, 0.941]" not in text
    assert "The CSV also has test_values." in text
    assert "Simulated survey: these figures measure the software, not the sky" in text
    assert "Best models. (simulated survey; networks of 0.25 of the width)" in text
    counts = count_statuses(collect_chapters(tiny))
    assert sum(counts["figure"].values()) == 52
    assert counts["figure"]["simulated"] == counts["table"]["simulated"] == counts["number"]["simulated"] == 1


def test_what_is_of_an_earlier_state_says_so_or_is_left_out(tmp_path: Path) -> None:
    make_run(tmp_path)
    shown = write_report(tmp_path).read_text()
    assert OUTDATED not in shown
    assert "Sixty rows." in shown
    entry = {"fingerprint": "old", "stale": True, "outputs": {"tables/extra_wide.csv": 1, "tables/extra_wide.tex": 1}}
    (tmp_path / "manifest.json").write_text(json.dumps({"05_model_comparison": entry}))
    chapters = collect_chapters(tmp_path)
    notes = {
        item.id: item.note
        for chapter in chapters
        for item in (*chapter.items, *chapter.numbers)
        if item.ours or item.files
    }
    assert notes["6.4"].startswith(f"{OUTDATED}; of two")
    assert all((OUTDATED in note) == (item == "6.4") for item, note in notes.items())
    assert "Sixty rows." not in write_report(tmp_path).read_text()


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert all(value.startswith("data:") for value in page.values("src"))
    assert all(value.startswith(("#", "data:")) for value in page.values("href"))
    inside = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert inside <= set(page.values("id"))
    assert "Rows <script>alert(1)</script> & columns." in "".join(page.words)


def test_the_page_can_be_read_aloud(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert dict(page.tags)["html"]["lang"] == "en"
    assert [tags.count(name) for name in ("h1", "main", "nav", "header")] == [1, 1, 1, 1]
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for tag, attrs in page.tags:
        if tag == "img":
            assert attrs["alt"].startswith("Confusion matrix")
        if tag == "th":
            assert attrs["scope"] in ("col", "row")
        if attrs.get("tabindex") == "0":
            assert attrs["aria-label"]


def test_the_same_run_gives_the_same_page(tiny: Path) -> None:
    first = write_report(tiny).read_bytes()
    assert write_report(tiny).read_bytes() == first
    assert not list(tiny.glob(".report*"))


def test_a_run_in_spanish_has_spanish_chapters(tmp_path: Path) -> None:
    make_run(tmp_path / "tiny", "es")
    page = Page(write_report(tmp_path / "tiny").read_text())
    text = " ".join(page.words)
    assert "Resultados" in text
    assert read_catalogue().query("kind == 'figure' and id == '6.3'")["title_es"].item() in text


def test_a_file_of_the_ledger_that_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "tiny")
    (tmp_path / "tiny" / "figures" / "figure_6.3.png").unlink()
    with pytest.raises(ReportError, match=r"figure_6\.3\.png is in the ledger and not on disk: run notebook"):
        write_report(tmp_path / "tiny")
    assert not (tmp_path / "tiny" / "report.html").exists()


def test_a_table_of_code_keeps_a_column_called_data(tmp_path: Path) -> None:
    pd.DataFrame({"article": ["a"], "data": ["SNfactory"]}).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", marked=False)[0].columns == ["article", "data"]
    table, mark = read_table(tmp_path / "t.csv")
    assert (table.columns, mark) == (["article"], "SNfactory")
    pd.DataFrame({"article": [], "data": []}).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")[0].rows == []


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["tiny", "reference"])
def written(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the small run, and that of the results in the repository."""
    if request.param == "tiny":
        return write_report(tiny)
    copy = tmp_path_factory.mktemp("copy") / "reference"
    copy.mkdir()
    for name in ("figures", "tables"):
        shutil.copytree(REFERENCE / name, copy / name)
    shutil.copy(REFERENCE / "ledger.csv", copy)
    return write_report(copy)


@pytest.fixture(scope="module", params=WIDTHS)
def opened(request: pytest.FixtureRequest, written: Path, browser: Browser) -> Browser:
    """The browser with the report at the width of a phone, then of a desk."""
    browser.open(written, *WIDTHS[request.param])
    return browser


@pytest.mark.slow
def test_a_browser_shows_it_whole(opened: Browser, written: Path) -> None:
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [written.as_uri()]
    assert opened.evaluate("document.images.length") == written.read_text().count("<img ") > 0
    assert opened.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    widths = opened.evaluate("[innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]")
    assert len(set(widths)) == 1
    assert widths[0] in (390, 1400)


SMALL_TEXT = """[...document.querySelectorAll("main *")]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
  .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML.slice(0, 80))"""
SMALL_IMAGES = """[...document.images].filter(i => i.width < 0.45 * i.naturalWidth).map(i => i.alt)"""
CUT_OFF = """[...document.querySelectorAll("main .card > *")]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "visible")
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.slow
def test_it_can_be_read_at_both_widths(opened: Browser) -> None:
    assert opened.evaluate(SMALL_TEXT) == []
    assert opened.evaluate(SMALL_IMAGES) == []
    assert opened.evaluate(CUT_OFF) == []


@pytest.mark.slow
def test_the_browser_reports_what_is_wrong_with_a_page(tmp_path: Path, browser: Browser) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<body><img src="gone.png"><p style="width:2000px">x</p><script>console.error("no")</script>')
    browser.open(bad, 390, 844)
    assert len(browser.errors) == 2
    assert browser.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 1
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
