"""Schemas of alert packets: their survey, and how much of a record must be read for a key or the stamps."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import fastavro

from twostamp.alerts.avro import CorruptPacket
from twostamp.alerts.values import MissingField

HISTORY = ("prv_candidates", "fp_hists")
CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
KEY_FIELDS = ("jd", "ssdistnr", "programid", "ra", "dec", "candid")
_SURVEYS = {
    "lsst": "Rubin",
    "rubin": "Rubin",
    "elasticc": "a simulation of Rubin",
    "decam": "DECam",
    "winter": "WINTER",
    "wirc": "WIRC",
    "atlas": "ATLAS",
}
"""Words in the names of schemas -> the survey; none of them is ZTF."""


class Schemas(NamedTuple):
    whole: dict[str, Any]
    front: dict[str, Any] | None  # up to candidate, if only history and the three cutouts follow it
    head: dict[str, Any] | None  # the same record and its candidate, each cut after the last field of a key


@lru_cache(maxsize=64)
def parse_schemas(schema: bytes) -> Schemas:
    """Parse a container's schema, and cut it for keys and stamps; `CorruptPacket` if it is not ZTF's."""
    try:
        whole = json.loads(schema)
        parsed = fastavro.parse_schema(whole)
        _check_survey(whole)
        if any(part.get("type") == "array" and _takes_no_bytes(part["items"]) for part in _walk(whole)):
            raise CorruptPacket("its schema has an array of items without bytes")
    except CorruptPacket:
        raise
    except Exception as error:  # any error of fastavro
        raise CorruptPacket(f"the container's schema is damaged: {type(error).__name__}") from None
    try:
        head = _cut(whole, ("objectId", "candid", "candidate"))
        front = fastavro.parse_schema(head) if _is_usual(whole["fields"], len(head["fields"])) else None
        if (last := head["fields"][-1])["name"] == "candidate":
            # Nothing is read after it, so it may end early too.
            head["fields"][-1] = last | {"type": _cut_candidate(last["type"])}
        return Schemas(parsed, front, fastavro.parse_schema(head))
    except Exception:  # only a full reader follows every way to write a schema
        return Schemas(parsed, None, None)


def _check_survey(schema: Any) -> None:
    """Refuse packets of another survey, and records that are no packets."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise CorruptPacket("not a ZTF alert: the container's schema is no record")
    names = {str(field["name"]) for field in schema["fields"]}
    full_name = f"{schema.get('namespace', '')}.{schema['name']}".strip(".")
    said: list[Any] = [full_name.partition(".")[0]]  # a schema with a packet's fields may mention another survey
    if not {"objectId", "candidate"} <= names:
        said = [full_name, schema.get("doc"), *(field.get("default") for field in schema["fields"])]
        said += ["lsst"] * ("diaSource" in names)
    text = " ".join(map(str, said)).lower()
    if word := min((word for word in _SURVEYS if word in text), key=text.find, default=""):
        raise CorruptPacket(f"an alert of {_SURVEYS[word]} (schema {full_name}), which is not ZTF's")
    if "objectid" in names:
        raise CorruptPacket(f"an alert of another survey, for example WINTER or DECam (schema {full_name}), not ZTF's")
    if not {"objectId", "candid", "candidate"} & names:
        raise CorruptPacket(f"not a ZTF alert: its records (schema {full_name}) have neither objectId nor candidate")


def _as_union(avro: Any) -> list[Any]:
    """List the types of a value: Fink and Spark make every field, ``candidate`` too, a union with null."""
    return avro if isinstance(avro, list) else [avro]


def _cut(record: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Cut a record schema after the last of the named fields."""
    wanted = [at for at, field in enumerate(record["fields"]) if field["name"] in names]
    return record | {"fields": record["fields"][: max(wanted, default=-1) + 1]}


def _cut_candidate(avro: Any) -> Any:
    """Cut the type of ``candidate``, a record or a union of one with null, after the last field of a key."""
    if isinstance(avro, list):
        return [kind if kind == "null" else _cut(kind, KEY_FIELDS) for kind in avro]
    return _cut(avro, KEY_FIELDS)


def _is_usual(fields: list[dict[str, Any]], front: int) -> bool:
    """Whether only history and the three cutouts, each null or (a name, gzipped bytes), follow the first fields."""
    names = [field["name"] for field in fields[front:]]
    if tuple(names[-3:]) != CUTOUTS or not set(names[:-3]) <= set(HISTORY):
        return False
    kinds = [[kind for kind in _as_union(field["type"]) if kind != "null"] for field in fields[-3:]]
    record, *others = (kind[0] if len(kind) == 1 else None for kind in kinds)
    return (
        isinstance(record, dict)
        and [field["type"] for field in record["fields"]] == ["string", "bytes"]
        and all(other == record["name"] for other in others)
    )


@lru_cache(maxsize=64)
def find_candidate_types(schema: bytes) -> dict[str, str]:
    """Find which fields ``candidate`` has in a schema, as Arrow types."""
    whole = parse_schemas(schema).whole
    try:
        fields = {field["name"]: field for field in whole["fields"]}
        if "candidate" not in fields:
            raise MissingField("the packet has no candidate")
        kinds = [_find_record(kind, whole) for kind in _as_union(fields["candidate"]["type"]) if kind != "null"]
        types = {field["name"]: _arrow_type(field["type"]) for record in kinds for field in record["fields"]}
        return {str(name): kind for name, kind in types.items()}
    except (KeyError, TypeError, StopIteration) as error:
        raise CorruptPacket("its candidate is no record") from error


def _find_record(kind: Any, within: Any) -> Any:
    """Find the record that a schema refers to by name; a record is returned itself."""
    if isinstance(kind, dict):
        return kind
    return next(part for part in _walk(within) if part.get("name") == kind and "fields" in part)


def _walk(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict within a schema."""
    stack = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            yield part
        stack += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []


def _takes_no_bytes(kind: Any) -> bool:
    """Whether a value takes no bytes: an array could then announce any number of them, which no reader would finish."""
    if isinstance(kind, dict) and kind.get("type") == "record":
        return all(_takes_no_bytes(field["type"]) for field in kind["fields"])
    return _takes_no_bytes(kind["type"]) if isinstance(kind, dict) and "type" in kind else kind == "null"


def _arrow_type(avro: Any) -> str:
    # A type with annotations, such as {"type": "string", "avro.java.string": "String"}, is the inner type.
    kinds = [kind["type"] if isinstance(kind, dict) else kind for kind in _as_union(avro)]
    if any(isinstance(kind, dict | list) for kind in kinds):
        return "string"
    if any(isinstance(kind, dict) and "logicalType" in kind for kind in _as_union(avro)):
        return "string"
    names = set(kinds) - {"null"}
    if names <= {"int", "long"}:
        return "int64"
    return "double" if names <= {"int", "long", "float", "double"} else "string"
