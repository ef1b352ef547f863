"""Croissant metadata (http://mlcommons.org/croissant/1.0) of a released data set: its data card for machines."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from twostamp.alerts.cutouts import STAMPS

_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_PARQUET = "application/x-parquet"  # the name that Croissant readers expect
_TYPES = {"int64": "sc:Integer", "double": "sc:Float", "string": "sc:Text", "binary": "sc:Text", "bool": "sc:Boolean"}

_OWN = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _OWN},
}


def make_croissant(
    about: Mapping[str, Any], shards: Mapping[str, Sequence[tuple[str, int, str]]], schemas: Mapping[str, pa.Schema]
) -> dict[str, Any]:
    """Describe Parquet shards.

    Parameters
    ----------
    about : mapping
        Properties of the data set as a whole: name, license, creator, ``rai:`` properties and others.
    shards : mapping
        Name of a table -> (path relative to the metadata, bytes, SHA-256) of its files.
    schemas : mapping
        Name of a table -> its columns.

    Returns
    -------
    dict
        JSON-LD.
    """
    distribution: list[dict[str, Any]] = []
    for name, files in shards.items():
        for path, size, digest in files:
            entry = {"@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "sha256": digest}
            distribution.append(entry | {"contentSize": f"{size} B", "encodingFormat": _PARQUET})
        entry = {"@type": "cr:FileSet", "@id": f"{name}-shards", "name": f"{name}-shards"}
        distribution.append(entry | {"includes": f"data/{name}-*.parquet", "encodingFormat": _PARQUET})
    records = [_record_set(name, schema) for name, schema in schemas.items()]
    head = {"@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": _CONFORMS_TO}
    return {**head, **about, "distribution": distribution, "recordSet": records}


def _record_set(name: str, schema: pa.Schema) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{field.name}",
            "name": field.name,
            "description": _describe(field.name),
            "dataType": _TYPES[str(field.type)],
            "source": {"fileSet": {"@id": f"{name}-shards"}, "extract": {"column": field.name}},
        }
        for field in schema
    ]
    what = f"{name} objects, one a row, with their first two alerts"
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": what, "field": fields}


_OF_PAIRS = {
    "objectId": "ZTF's name of the object",
    "classALeRCE": "class of the stamp classifier",
    "subclassALeRCE": "subclass",
    "deltajd": "days between the two alerts",
    "split": "train, validation or test; empty if the object was not chosen for any",
}


def _describe(column: str) -> str:
    """Describe a column."""
    if column in _OF_PAIRS:
        return _OF_PAIRS[column]
    name, _, alert = column.rpartition("_")
    if name in STAMPS:
        return f"{name} stamp, gzipped FITS, alert {alert}"
    if name in ("candid", "jd"):
        return {"candid": "ZTF's number of the alert", "jd": "Julian date (UTC)"}[name] + f", alert {alert}"
    return f"field candidate.{name} of ZTF's packet, alert {alert}"
