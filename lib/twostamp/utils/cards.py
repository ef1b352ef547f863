"""Accelerator of a worker process: one for its lifetime, chosen before any framework starts."""

import fcntl
import functools
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []
"""Slot of this process, reserved as long as the file is open."""


def list_cards() -> list[str]:
    """List the NVIDIA cards that this process may use: those of ``CUDA_VISIBLE_DEVICES``, or all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


@functools.cache
def claim_card(assigned: str = "") -> str:
    """Restrict this process to one card with ``CUDA_VISIBLE_DEVICES``; the first call decides.

    Parameters
    ----------
    assigned : str
        Address of the card chosen by a scheduler. Without one, the processes of this machine share the cards evenly.
        Each takes the first free slot, and slot i is on card i modulo the number of cards.

    Returns
    -------
    str
        Name of the card; empty if there is none.
    """
    cards = list_cards()
    card = assigned or (cards[_take_slot() % len(cards)] if cards else "")
    if card:
        os.environ["CUDA_VISIBLE_DEVICES"] = card
    return card


def _take_slot() -> int:
    """Take the first free slot and return its number; it is released when this process ends."""
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
