import pandas as pd
import pytest

from twostamp.data.labels import read_labels
from twostamp.taxonomy import CLASSES, SUBCLASSES, canonical_subclass, class_of


def write(path, rows):
    pd.DataFrame(rows, columns=["objectId", "classALeRCE", "subclassALeRCE"]).to_csv(path, index=False)
    return path


def test_every_subclass_and_alias_maps_to_itself():
    for sub in SUBCLASSES:
        for name in (sub.name, *sub.aliases, sub.name.lower()):
            assert canonical_subclass(sub.class_name or "VS", name) == (sub.class_name, sub.name)
        if sub.class_name:
            assert class_of(sub.name) == sub.class_name


@pytest.mark.parametrize("class_name", CLASSES)
def test_empty_subclass_is_unspecified_and_kept(class_name):
    assert canonical_subclass(class_name, "") == (class_name, f"{class_name}-unspecified")
    assert class_of(f"{class_name}-unspecified") == class_name


def test_unknown_names_are_errors_that_name_them():
    with pytest.raises(ValueError, match="'Galaxy'"):
        canonical_subclass("Galaxy", "")
    with pytest.raises(ValueError, match="'SNIax'"):
        canonical_subclass("SN", "SNIax")
    with pytest.raises(ValueError, match="belongs to class AGN"):
        canonical_subclass("SN", "QSO")


def test_read_labels_counts_every_drop(tmp_path):
    path = write(
        tmp_path / "labels.csv",
        [
            ("ZTF2", "SN", "SNIa"),
            ("ZTF1", "VS", "CEP"),
            ("ZTF1", "VS", "Ceph"),
            ("ZTF3", "VS", "RRL"),
            ("ZTF3", "AGN", "QSO"),
            ("ZTF4", "VS", "CV/Nova"),
            ("", "VS", "RRL"),
            ("ZTF5", "AGN", ""),
        ],
    )
    labels, counts = read_labels(path)
    assert labels.to_numpy().tolist() == [
        ["ZTF1", "VS", "Ceph"],
        ["ZTF2", "SN", "SNIa"],
        ["ZTF5", "AGN", "AGN-unspecified"],
    ]
    assert counts.pop("rows read") == 8 == sum(counts.values())
    assert counts["repeated rows"] == 1
    assert counts["conflicting labels"] == 2
    assert counts["CV/Nova, which has no class"] == 1


def test_read_labels_names_file_and_column(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("name,classALeRCE\nZTF1,SN\n")
    with pytest.raises(ValueError, match=r"mine.csv has no column 'objectId'"):
        read_labels(path)
    write(path, [("ZTF1", "SN", "SNIax")])
    with pytest.raises(ValueError, match=r"mine.csv: unknown subclass 'SNIax'"):
        read_labels(path)


def test_read_labels_of_real_packets(real_alerts):
    labels, counts = read_labels(real_alerts / "labels.csv")
    rows = pd.read_csv(real_alerts / "labels.csv", dtype=str, keep_default_na=False)
    of_a_class = rows[rows["subclassALeRCE"] != "CV/Nova"]
    assert counts["rows read"] == len(rows)
    assert counts["CV/Nova, which has no class"] == len(rows) - len(of_a_class)
    assert labels["classALeRCE"].value_counts().to_dict() == of_a_class["classALeRCE"].value_counts().to_dict()
