"""Packets of the first two alerts of every object, without Spark, from a folder or tarball that fits in memory.

`twostamp.alerts.extraction` does the same for archives of any size.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from twostamp.alerts.archive import ArchiveError, read_members
from twostamp.alerts.archive_listing import survey_archive
from twostamp.alerts.avro import collecting_reasons
from twostamp.alerts.cutouts import read_cutouts
from twostamp.alerts.first_two import choose_alerts, first_two
from twostamp.alerts.packet import AlertKey, PacketError, find_candid, find_candidate, read_packets, try_keys
from twostamp.alerts.values import check_values

_log = logging.getLogger(__name__)
_KEY = ["objectId", "candid", "jd"]
_LEFT_OUT = ["source", "member", "objectId", "reason"]
_NOT_FOUND = "the packet was not found again"


@dataclass(frozen=True)
class FirstPackets:
    """First packets of every object of an archive.

    Attributes
    ----------
    objects : dict of tuple of dict
        Decoded packets without their history, the earliest first, by objectId in sorted order.
    left_out : DataFrame
        source, member, objectId, reason: alerts that could not be read or used, and files that look like alerts.
    """

    objects: dict[str, tuple[dict[str, Any], ...]]
    left_out: pd.DataFrame


def read_first_packets(archive: str, n_alerts: int = 2, fewest: int | None = None) -> FirstPackets:
    """Read the first usable packets of every object: valid values, whole stamps (thesis, section 3.2).

    Parameters
    ----------
    archive : str
        As for `twostamp.alerts.archive.list_sources`. Damaged parts are logged as a warning and left out.
    n_alerts : {1, 2}
        Packets per object, at most.
    fewest : int, optional
        Objects with fewer are skipped; by default `n_alerts`.

    Returns
    -------
    FirstPackets

    Raises
    ------
    ArchiveError
        If there is nothing to read.
    """
    columns, left_out = [*_KEY, "source", "member", "record"], [pd.DataFrame(columns=_LEFT_OUT)]
    alerts = pd.DataFrame(_list_alerts(archive, left_out), columns=columns).drop_duplicates(["objectId", "candid"])
    tried = pd.DataFrame(columns=[*_KEY, "reason"]).astype(alerts[_KEY].dtypes)
    packets: dict[Any, dict[str, Any]] = {}
    while len(chosen := choose_alerts(alerts, tried)):
        opened = _open_alerts(chosen, packets)
        tried = pd.concat([tried, opened[tried.columns]]) if len(tried) else opened[tried.columns]
        left_out.append(opened.loc[opened["reason"].notna(), _LEFT_OUT])
    objects: dict[str, list[dict[str, Any]]] = {}
    for key in first_two(tried)[_KEY].itertuples(index=False) if len(tried) else ():
        objects.setdefault(str(key.objectId), []).append(packets[key.objectId, key.candid])
    fewest = n_alerts if fewest is None else fewest
    chosen_objects = {name: tuple(found[:n_alerts]) for name, found in objects.items() if len(found) >= fewest}
    return FirstPackets(chosen_objects, pd.concat(left_out, ignore_index=True))


def open_packet(data: bytes, record: int) -> dict[str, Any]:
    """Decode an alert of a container without its history; `PacketError` if its values or stamps cannot be used."""
    packet = read_packets(data, history=False)[record]
    _check_packet(packet)
    return packet


def _check_packet(packet: dict[str, Any]) -> None:
    check_values(find_candidate(packet))
    read_cutouts(packet)


def _list_alerts(archive: str, left_out: list[pd.DataFrame]) -> Iterator[tuple[Any, ...]]:
    """List keys and positions of all alerts; add unreadable ones to `left_out`."""

    def leave_out(source: str, member: str, reason: str) -> None:
        left_out.append(pd.DataFrame([(source, member, "", reason)], columns=_LEFT_OUT))

    sources, passed_over = survey_archive(archive)
    for path, reason in passed_over.items():
        leave_out(path, "", reason)
    for source in sources:
        try:
            for member in read_members(source):
                keys: list[AlertKey | PacketError] = []
                with collecting_reasons() as reasons:
                    keys = [] if member.fault else try_keys(member.data)
                    reasons += [key.reason for key in keys if isinstance(key, PacketError)]
                for reason in filter(None, [member.fault, *reasons]):
                    _log.warning("%s in %s is left out: %s", member.name, source, reason)
                    leave_out(source, member.name, reason)
                for record, key in enumerate(keys, start=member.first):
                    if isinstance(key, AlertKey):
                        yield key.objectId, key.candid, key.jd, source, member.name, record
        except ArchiveError as error:
            _log.warning("%s; packets before the damage are used", error)
            leave_out(source, "", str(error))


def _open_alerts(chosen: pd.DataFrame, packets: dict[Any, dict[str, Any]]) -> pd.DataFrame:
    """Open alerts, add usable ones to `packets`, and return the errors of the others."""
    reasons: dict[Any, Any] = {}
    by_member = chosen.groupby(["source", "member"])
    for source, alerts in chosen.groupby("source"):
        with suppress(ArchiveError):  # the first reading has logged them
            for member in read_members(str(source), frozenset(alerts["member"])):
                opened: list[dict[str, Any]] = []
                with collecting_reasons() as unread:  # each container once, however many of its alerts are chosen
                    opened = read_packets(member.data, history=False)
                alert: Any
                for alert in by_member.get_group((source, member.name)).itertuples():
                    key = alert.objectId, alert.candid
                    at = alert.record - member.first
                    if not _holds_alert(opened, at, alert.candid):
                        reasons.setdefault(key, next(iter(unread), _NOT_FOUND))
                    elif reasons.get(key, _NOT_FOUND):  # not usable yet
                        packets[key] = opened[at]
                        with collecting_reasons() as failed:
                            _check_packet(packets[key])
                        reasons[key] = next(iter(failed), None)
    keys = zip(chosen["objectId"], chosen["candid"], strict=True)
    return chosen.assign(reason=[reasons.get(key, _NOT_FOUND) for key in keys])


def _holds_alert(packets: list[dict[str, Any]], at: int, candid: int) -> bool:
    """Tell whether the alert is in this place; a tarball may hold several members of one name."""
    with suppress(PacketError):
        return 0 <= at < len(packets) and find_candid(packets[at]) == candid
    return False
