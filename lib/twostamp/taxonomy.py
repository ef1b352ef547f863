"""The classes, their subclasses and where ALeRCE's taxonomy puts them (thesis Table 3.3, annex A; decision D5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

CLASSES: tuple[str, ...] = ("AGN", "SN", "VS", "asteroid", "bogus")
MOVING = "asteroid"
"""The class whose objects leave the place of their first alert within hours."""
"""The five classes of the stamp classifier, in the order of every table, matrix and output vector."""

LABEL_COLUMNS = ["objectId", "classALeRCE", "subclassALeRCE"]

SSDISTNR_MAX = 10.0
"""Arcsec to the nearest known body of the Solar System, from which on an object is no asteroid (D1)."""


PARTNERSHIP = (2, 3)
"""``programid`` of the alerts of ZTF's partnership and of Caltech, which are not public."""


@dataclass(frozen=True)
class Subclass:
    """A subclass of the label set.

    Attributes
    ----------
    name : str
        Canonical name, as in thesis Table 3.5.
    class_name : str
        Class of the stamp classifier; empty for CV/Nova, which has none.
    level1, level2 : str
        First and second level of ALeRCE's hierarchical random forest (Table 3.3); empty where it has none.
    aliases : tuple of str
        Other spellings that label files use.
    """

    name: str
    class_name: str
    level1: str = ""
    level2: str = ""
    aliases: tuple[str, ...] = ()


SUBCLASSES: tuple[Subclass, ...] = (
    Subclass("QSO", "AGN", "Stochastic", "QSO", ("Quasar",)),
    Subclass("AGN", "AGN", "Stochastic", "AGN"),
    Subclass("Blazar", "AGN", "Stochastic", "Blazar", ("BL Lac",)),
    Subclass(
        "SNIa", "SN", "Transient", "SNIa", ("SNIa-91T", "SNIa-91bg", "SNIa-norm", "SNIa-pec", "SNIa-CSM", "SNIa-SC")
    ),
    Subclass("SNII", "SN", "Transient", "SNII", ("SNIIP", "SNIIL", "SNII-pec")),
    Subclass("SNIbc", "SN", "Transient", "SNIbc", ("SNIb", "SNIc", "SNIc-BL", "SNIb-pec", "SNIc-pec")),
    Subclass("SNIIn", "SN", "Transient", "SNII", ("SNIIn-pec",)),
    Subclass("SLSN", "SN", "Transient", "SLSN", ("SLSN-I", "SLSN-II", "SLSN-R")),
    Subclass("SNIIb", "SN", "Transient", "SNII"),
    Subclass("EB/EW", "VS", "Periodic", "E", ("EB", "EW")),
    Subclass("EA", "VS", "Periodic", "E"),
    Subclass("LPV", "VS", "Periodic", "LPV"),
    Subclass("RRL", "VS", "Periodic", "RRL", ("RRLyr", "RR Lyrae")),
    Subclass("YSO", "VS", "Stochastic", "YSO"),
    Subclass("RSCVn", "VS", "Periodic", "Periodic-Other"),
    Subclass("DSCT", "VS", "Periodic", "DSCT"),
    Subclass("Ceph", "VS", "Periodic", "CEP", ("CEP", "Cepheid")),
    Subclass("Periodic-Other", "VS", "Periodic", "Periodic-Other"),
    Subclass("ZZ", "VS", "Periodic", "Periodic-Other"),
    Subclass("CV/Nova", "", "Stochastic", "CV/Nova", ("CV", "Nova")),
    Subclass("asteroid", "asteroid"),
    Subclass("bogus", "bogus"),
)


def _plain(name: str) -> str:
    """A name without case, spaces and signs, of which every source has its own."""
    return re.sub(r"[^\w?]|_", "", name).lower()  # "SN?" is no supernova


_CANONICAL = {_plain(alias): sub for sub in SUBCLASSES for alias in (sub.name, *sub.aliases)}
_CLASSES = {_plain(name): name for name in CLASSES}
_CLASSES |= dict.fromkeys(("sne", "supernova", "supernovae"), "SN") | {"variablestar": "VS", "asteroids": "asteroid"}
_EMPTY = ("nan", "na", "n/a", "none", "null")


def is_empty(name: str | None) -> bool:
    """Whether a cell says nothing; Table 3.3 prints ``-`` where there is no class."""
    said = (name or "").strip().lower()
    return said in _EMPTY or not re.search(r"\w", said)


def canonical_subclass(class_name: str, subclass_name: str | None) -> tuple[str, str]:
    """Map a label to its class and canonical subclass.

    Parameters
    ----------
    class_name : str
        One of `CLASSES`, in any case.
    subclass_name : str or None
        Any known spelling; empty, None or the class once more becomes ``<class>-unspecified``.

    Returns
    -------
    class_name, subclass_name : str
        The class is empty for CV/Nova, which the stamp classifier has no class for (D5).

    Raises
    ------
    ValueError
        If the class or the subclass is not known, or if the subclass belongs to another class.

    Examples
    --------
    >>> canonical_subclass("VS", "CEP")
    ('VS', 'Ceph')
    >>> canonical_subclass("SN", None)
    ('SN', 'SN-unspecified')
    """
    known = _CLASSES.get(_plain(class_name))
    if known is None:
        raise ValueError(f"unknown class {class_name!r}: the classes are {', '.join(CLASSES)}")
    name = "" if is_empty(subclass_name) else _plain(str(subclass_name))
    subclass = _CANONICAL.get(name)
    if not name or name == _plain(f"{known}-unspecified") or (subclass is None and name == _plain(known)):
        return known, f"{known}-unspecified"
    if subclass is None:
        raise ValueError(f"unknown subclass {subclass_name!r} of class {known}: add it to twostamp.taxonomy")
    if subclass.class_name and subclass.class_name != known:
        raise ValueError(f"subclass {subclass.name} belongs to class {subclass.class_name}, not to {known}")
    return subclass.class_name, subclass.name


def map_label(class_name: str, subclass_name: str) -> tuple[str, str]:
    """Map a label of any of Table 3.3's columns, such as a class of ALeRCE's light-curve classifier, to ours (D5).

    Parameters
    ----------
    class_name, subclass_name : str
        A class of `CLASSES` with a subclass or none; or a name of the hierarchical random forest's second level, in
        either place.

    Returns
    -------
    class_name, subclass_name : str
        As of `canonical_subclass`. What holds several subclasses (``E``: EA and EB/EW) is unspecified.

    Raises
    ------
    ValueError
        As `canonical_subclass`.

    Examples
    --------
    >>> map_label("SNIbc", ""), map_label("", "E"), map_label("VS", "CEP")
    (('SN', 'SNIbc'), ('VS', 'VS-unspecified'), ('VS', 'Ceph'))
    """
    class_name, subclass_name = ("" if is_empty(name) else name for name in (class_name, subclass_name))
    if _plain(class_name) in _CLASSES:
        return canonical_subclass(class_name, subclass_name)
    name = subclass_name or class_name
    subclass = _CANONICAL.get(_plain(name))
    if class_name and subclass_name and _CANONICAL.get(_plain(class_name)) is not subclass:
        raise ValueError(f"unknown class {class_name!r} of subclass {subclass_name!r}")
    if subclass is not None:
        return subclass.class_name, subclass.name
    if known := _CLASSES.get(_plain(name)):
        return known, f"{known}-unspecified"
    for other in SUBCLASSES:
        if other.level2 and _plain(other.level2) == _plain(name) and other.class_name:
            return other.class_name, f"{other.class_name}-unspecified"
    raise ValueError(f"unknown label {name!r}: it is neither a class nor a subclass of twostamp.taxonomy")


def order_classes(names: Iterable[str]) -> list[str]:
    """Classes that occur, in the order of `CLASSES`; any other (a promoted subclass) after them, by name.

    Examples
    --------
    >>> order_classes(["YSO", "bogus", "AGN", "bogus"])
    ['AGN', 'bogus', 'YSO']
    """
    found = set(names)
    return [name for name in CLASSES if name in found] + sorted(found - set(CLASSES))


def order_subclasses(names: Iterable[str]) -> list[str]:
    """Subclasses that occur, class by class in the order of `SUBCLASSES`; the unspecified come last in their class."""
    place = {subclass.name: i for i, subclass in enumerate(SUBCLASSES)}
    return sorted(set(names), key=lambda name: (CLASSES.index(class_of(name)), place.get(name, len(place))))


def class_of(subclass_name: str) -> str:
    """Class of a canonical subclass or of ``<class>-unspecified``.

    Examples
    --------
    >>> class_of("YSO"), class_of("SN-unspecified")
    ('VS', 'SN')
    """
    return (
        subclass_name.removesuffix("-unspecified")
        if subclass_name.endswith("-unspecified")
        else (_CANONICAL[_plain(subclass_name)].class_name)
    )
