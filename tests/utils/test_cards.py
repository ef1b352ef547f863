"""Cards: each process of a machine gets one, and they are shared evenly."""

import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest

from twostamp.utils import cards


@pytest.fixture(autouse=True)
def four_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(cards.tempfile, "tempdir", None)
    cards.claim_card.cache_clear()
    yield
    cards.claim_card.cache_clear()
    while cards._held:
        cards._held.pop().close()


def claim_and_wait(chosen: "multiprocessing.Queue[tuple[str, str]]", end: "multiprocessing.Event") -> None:
    chosen.put((cards.claim_card(), os.environ["CUDA_VISIBLE_DEVICES"]))
    end.wait()


def test_eight_processes_share_four_cards_two_on_each_and_give_them_back() -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        chosen, end = context.Queue(), context.Event()
        processes = [context.Process(target=claim_and_wait, args=(chosen, end)) for _ in range(8)]
        for process in processes:
            process.start()
        claimed = [chosen.get() for _ in processes]
        end.set()
        for process in processes:
            process.join()
        assert Counter(claimed) == {(card, card): 2 for card in ("0", "2", "5", "7")}


def test_a_process_keeps_its_card_and_sees_no_other() -> None:
    assert [cards.claim_card(), cards.claim_card()] == ["0", "0"]
    assert cards.list_cards() == ["0"]


def test_a_card_that_a_scheduler_has_chosen_is_taken() -> None:
    assert cards.claim_card("5") == os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_without_cards_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert cards.claim_card() == ""
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
