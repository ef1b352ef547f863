"""Which accelerator a worker process computes on: one for its whole life, chosen before any framework starts."""

import fcntl
import functools
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []
"""The slot of this process, which nobody else has as long as the file is open."""


def list_cards() -> list[str]:
    """Names of the NVIDIA cards that this process may use: those of ``CUDA_VISIBLE_DEVICES``, or all there are."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


@functools.cache
def claim_card(assigned: str = "") -> str:
    """Show this process one card alone, by ``CUDA_VISIBLE_DEVICES``; the first call decides.

    Parameters
    ----------
    assigned : str
        Address of the card that a scheduler has chosen; without one, the processes of this machine share the cards
        evenly: each takes the first slot that no living process holds, and slot i is on card i modulo their number.

    Returns
    -------
    str
        Its name, empty where there is no card.
    """
    cards = list_cards()
    card = assigned or (cards[_take_slot() % len(cards)] if cards else "")
    if card:
        os.environ["CUDA_VISIBLE_DEVICES"] = card
    return card


def _take_slot() -> int:
    """Number of the first slot that no process holds; it is given back when this one ends."""
    folder = Path(tempfile.gettempdir()) / f"twostamp-cards-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for slot in count():
        file = (folder / str(slot)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        return slot
    raise AssertionError  # count has no end
