"""Labels from many sources: one label an object, nothing lost silently, everybody's columns."""

import bz2
import gzip
import lzma

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local_server import serve
from twostamp.data.label_files import read_label_csv, read_table
from twostamp.data.labels import (
    STATES,
    assemble_labels,
    count_provenance,
    label_objects,
    read_bogus_csv,
    read_bogus_reports,
    read_labels,
)
from twostamp.taxonomy import LABEL_COLUMNS, SUBCLASSES, map_label


def table(*rows):
    return pd.DataFrame(rows, columns=LABEL_COLUMNS)


def test_every_name_of_table_3_3_has_its_class():
    for sub in SUBCLASSES:
        assert map_label("", sub.name) == (sub.class_name, sub.name)
        assert map_label(sub.name, "")[0] == sub.class_name
        if sub.level2 and sub.class_name:
            assert map_label("", sub.level2)[0] == sub.class_name
    assert map_label("SN", "") == ("SN", "SN-unspecified")
    assert map_label("AGN", "") == ("AGN", "AGN-unspecified")  # the class, of which AGN is a subclass too
    assert map_label("", "AGN") == ("AGN", "AGN")
    assert map_label("CV/Nova", "") == ("", "CV/Nova")


@pytest.mark.parametrize("pair", [("Stochastic", ""), ("", "Galaxy"), ("SN", "QSO"), ("", "")])
def test_unknown_labels_are_refused(pair):
    with pytest.raises(ValueError, match=r"unknown|belongs"):
        map_label(*pair)


def test_columns_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("oid,ra,label\nZTF1,3.0, SNIa \nZTF2,4.0,E\n")
    read = read_label_csv(path, {"objectId": "oid", "subclassALeRCE": "label"})
    labels, _ = assemble_labels({"mine": read})
    assert labels.to_numpy().tolist() == [["ZTF1", "SN", "SNIa"], ["ZTF2", "VS", "VS-unspecified"]]
    with pytest.raises(ValueError, match=r"mine\.csv has no column 'object': set label_columns"):
        read_label_csv(path, {"objectId": "object"})
    with pytest.raises(ValueError, match="has no column 'classALeRCE'"):
        read_label_csv(path, {"objectId": "oid"})
    with pytest.raises(ValueError, match="label_columns names 'oid'"):
        read_label_csv(path, {"oid": "objectId"})


def test_bogus_needs_two_astronomers(tmp_path):
    path = tmp_path / "reports.csv"
    rows = ["ZTF1,ana,bogus", "ZTF1,ana,bogus", "ZTF2,ana,bogus", "ZTF2,luis,Bogus", "ZTF3,ana,bogus", "ZTF3,luis,SN"]
    path.write_text("object,user,report\n" + "\n".join([*rows, ",luis,bogus", "ZTF1,,bogus"]) + "\n")
    columns = {"objectId": "object", "astronomer": "user", "verdict": "report"}
    assert read_bogus_reports(path, columns)["objectId"].tolist() == ["ZTF2"]
    assert read_bogus_reports(path, columns, min_astronomers=1)["objectId"].tolist() == ["ZTF1", "ZTF2", "ZTF3"]
    with pytest.raises(ValueError, match=r"reports\.csv has no column 'astronomer'; it has object, user, report"):
        read_bogus_reports(path, {"objectId": "object"})
    assert read_bogus_csv(path, "object")["classALeRCE"].unique().tolist() == ["bogus"]


def test_every_kind_of_row_is_counted():
    sources = {
        "catalogue": table(
            ("a", "SN", "SNIa"),
            ("a", "SN", "SN Ia"),
            ("b", "VS", "RRL"),
            ("c", "AGN", ""),
            ("d", "CV/Nova", ""),
            ("", "SN", ""),
        ),
        "asteroids": label_objects(pd.Series(["b", "e"]), "asteroid"),
        "second": table(("c", "QSO", ""), ("f", "SN", "SNII"), ("f", "SN", "SLSN"), ("g", "", "")),
    }
    opinions = {"classifier": table(("a", "bogus", ""), ("h", "bogus", ""))}
    labels, provenance = assemble_labels(sources, opinions)
    assert labels.to_numpy().tolist() == [
        ["a", "SN", "SNIa"],
        ["c", "AGN", "QSO"],
        ["e", "asteroid", "asteroid"],
        ["h", "bogus", "bogus-unspecified"],
    ]
    states = {(row.objectId, row.source): row.state for row in provenance.itertuples()}
    assert states["b", "catalogue"] == states["b", "asteroids"] == states["f", "second"] == "conflicting"
    assert states["c", "catalogue"] == "less specific"
    assert states["d", "catalogue"] == states["g", "second"] == "without a class"
    assert states["a", "classifier"] == "outranked"
    counts = count_provenance(provenance).set_index("source")
    assert counts.loc["catalogue"].to_dict() == {
        "rows": 6, "kept": 1, "repeated": 1, "less specific": 1, "conflicting": 1, "without a class": 1,
        "without an object": 1, "outranked": 0,
    }  # fmt: skip


def test_an_unknown_label_names_its_source():
    with pytest.raises(ValueError, match="labels of mine: unknown label 'Galaxy'"):
        assemble_labels({"mine": table(("a", "Galaxy", ""))})


def test_no_source_gives_an_empty_label_file():
    labels, provenance = assemble_labels({})
    assert labels.empty
    assert list(labels) == LABEL_COLUMNS
    assert provenance.empty


ROWS = [
    ["ZTF1", "SN", "SNIa"],
    ["ZTF2", "asteroid", "asteroid"],
    ["ZTF3", "SN", "SLSN"],
    ["ZTF4", "VS", "VS-unspecified"],
]
HEAD = "objectId,classALeRCE,subclassALeRCE"
FILES = {
    "bom.csv": f"\ufeff{HEAD}\r\nZTF1,SN,SNIa\r\nZTF2,asteroid,\r\nZTF3,SN,SLSN\r\nZTF4,VS,\r\n",
    "quotes.csv": 'objectId, class ,subclass\n"ZTF1","SN","SNIa"\n \'ZTF2\' ,Asteroid,-\nZTF3,sn,slsn\nZTF4,VS,NaN\n',
    "semicolons.csv": "oid;class;subclass\nZTF1;SN;SN Ia-91T\nZTF2;ASTEROID;Asteroid\nZTF3;SN;SLSN-II\nZTF4;vs;VS\n",
    "tabs.tsv": "object_id\tclass_name\nZTF1\tSNIa\nZTF2\tasteroid\nZTF3\tSLSN-I\nZTF4\tVS\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("form", ["utf-8", "utf-16", "gz", "parquet"])
def test_label_files_as_people_write_them(tmp_path, name, form):
    text = FILES[name]
    path = tmp_path / name
    path.write_bytes(text.encode("utf-16" if form == "utf-16" else "utf-8"))
    if form == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    if form == "parquet":
        table = read_table(path)
        path = tmp_path / "labels.parquet"
        table.replace("", None).to_parquet(path)
    labels, counts = read_labels(path)
    found = [[row[0], row[1], row[2].replace("asteroid-unspecified", "asteroid")] for row in labels.to_numpy().tolist()]
    assert found == ROWS
    assert counts["kept"] == counts["rows read"] == 4


def test_all_unknown_names_are_told_at_once(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "objectId,classALeRCE,subclassALeRCE\n1,Galaxy,\n2,VS,Mira\n3,SN,SNIax\n4,VS,Mira\n5,SN,QSO\n6,SN,\n"
    )
    with pytest.raises(ValueError, match=r"mine\.csv") as caught:
        read_labels(path)
    for part in (
        "'Galaxy' (1 row)",
        "'Mira' of class VS (2 rows)",
        "'SNIax' of class SN (1 row)",
        "QSO belongs to class",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("row", "kept", "reason"),
    [
        ("a,CV/Nova,", 1, "CV/Nova, which has no class"),
        ("a,-,CV/Nova", 1, "CV/Nova, which has no class"),
        ("a,,CV/Nova", 1, "CV/Nova, which has no class"),
        ("a,-,", 1, "no object or class"),
        (",SN,SNIa", 1, "no object or class"),
        ("a,SN,\na,SN,SNIa", 2, "a class, where others name its subclass"),
        ("a,SN,SNIa\na,,", 2, "no object or class"),
    ],
)
def test_one_rule_for_every_label(tmp_path, row, kept, reason):
    path = tmp_path / "labels.csv"
    path.write_text(f"objectId,classALeRCE,subclassALeRCE\n{row}\nb,VS,RRL\n")
    labels, counts = read_labels(path)
    assert (len(labels), counts[reason]) == (kept, 1)
    assert counts["rows read"] == sum(counts.values()) - counts["rows read"]
    assert len(assemble_labels({"mine": read_label_csv(path)})[0]) == kept


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "0 rows read$"),
        ("\n\n", "0 rows read$"),
        ("a,CV/Nova,\nb,-,\n", "2 rows read, 1 no object or class, 1 CV/Nova, which has no class$"),
        ("a,SN,\na,VS,\n", "2 rows read, 2 conflicting labels$"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "gz", "parquet"])
def test_a_file_that_labels_no_object_is_refused(tmp_path, rows, said, form):
    path = tmp_path / "mine.csv"
    path.write_text(f"objectId,classALeRCE,subclassALeRCE\n{rows}")
    if form == "gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    if form == "parquet":
        read_table(path).to_parquet(path)
    with pytest.raises(ValueError, match=rf"mine\.csv labels no object: {said}"):
        read_labels(path)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"PAR1junk", b"\x1f\x8bjunk", b'a,b\n"1,2\n3'])
def test_what_is_no_table_is_named(tmp_path, content):
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.csv"):
        read_labels(tmp_path / "odd.csv")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"objectId,classALeRCE\n", b"\xff\xfe", b"PAR1", b"\x1f\x8b"]))
def test_any_bytes_are_labels_or_an_error_that_names_the_file(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("labels") / "any.csv"
    path.write_bytes(start + content)
    try:
        labels, counts = read_labels(path)
    except ValueError as error:
        labels, counts, message = [], {"rows read": 0, "kept": 0}, str(error)
        if "any.csv" not in message:
            raise
    assert counts.pop("rows read") == sum(counts.values())
    assert len(labels) == counts["kept"]


names = st.sampled_from(["SNIa", "SNII", "SN", "RRL", "E", "QSO", "AGN", "CV/Nova", "bogus", "asteroid"])
rows = st.lists(st.tuples(st.sampled_from("abcd"), names, st.just("")), max_size=12)


@settings(max_examples=150, deadline=None)
@given(rows, rows, rows)
def test_one_label_an_object_and_every_row_in_one_state(tmp_path_factory, first, second, third):
    labels, provenance = assemble_labels({"1": table(*first), "2": table(*second)}, {"3": table(*third)})
    assert len(provenance) == len(first) + len(second) + len(third)
    assert set(provenance["state"]) <= set(STATES)
    assert not labels["objectId"].duplicated().any()
    known = {row[0] for row in first + second}
    for object_id in "abcd":
        said = first + second if object_id in known else third
        mapped = {map_label(*row[1:]) for row in said if row[0] == object_id}
        classes = {pair[0] for pair in mapped}
        subclasses = {pair[1] for pair in mapped if not pair[1].endswith("unspecified")}
        expected = len(classes) == 1 and len(subclasses) <= 1 and "" not in classes
        assert (object_id in set(labels["objectId"])) == expected
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    labels.to_csv(path, index=False)
    if labels.empty:
        return
    again, counts = read_labels(path)  # what notebook 01 does with the file drops nothing more
    pd.testing.assert_frame_equal(again, labels, check_dtype=False)
    assert counts["kept"] == len(labels)


HEADERS = {
    "objectId": ["objectId", "oid", "object_id", "OBJECTID", "Object ID", "ztf-name"],
    "classALeRCE": ["classALeRCE", "class", "Class_Name"],
    "subclassALeRCE": ["subclassALeRCE", "subclass", "SUBCLASS NAME"],
}
SPELLINGS = {
    ("SN", "SNIa"): [("SN", "SNIa"), ("sn", "SN Ia"), ("Supernova", "SNIa-91T"), ("", "sn_ia"), ("SN-Ia", "")],
    ("SN", "SLSN"): [("SN", "SLSN-II"), ("SLSN", "")],
    ("VS", "RRL"): [("VS", "RR Lyrae"), ("variable star", "rrl"), ("RRL", "-")],
    ("asteroid", "asteroid"): [("Asteroid", "asteroid"), ("asteroids", "Asteroid")],
    ("bogus", "bogus-unspecified"): [("BOGUS", ""), ("bogus", "None"), ("Bogus", "--")],
    ("AGN", "QSO"): [("AGN", "Quasar"), ("QSO", "N/A")],
}


@settings(max_examples=150)
@given(data=st.data())
def test_labels_mean_the_same_however_they_are_written(tmp_path_factory, data):
    meant = data.draw(st.lists(st.sampled_from(list(SPELLINGS)), min_size=1, max_size=6))
    rows = [(f"ZTF18{i}", *data.draw(st.sampled_from(SPELLINGS[pair]))) for i, pair in enumerate(meant)]
    header = [data.draw(st.sampled_from(names)) for names in HEADERS.values()]
    order = data.draw(st.permutations(range(3)))
    table = pd.DataFrame(rows, columns=header).iloc[:, order]
    path = tmp_path_factory.mktemp("labels") / "labels"
    if data.draw(st.booleans(), label="parquet"):
        path = path.with_suffix(".parquet")
        table.replace("", None).to_parquet(path)
    else:
        pad, quote = data.draw(st.sampled_from(["", " ", "\u00a0"])), data.draw(st.sampled_from(["", '"', "'"]))
        separator, end = data.draw(st.sampled_from(",;\t|")), data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
        cells = [list(table), *table.to_numpy().tolist()]
        lines = [separator.join(f"{quote}{pad}{cell}{pad}{quote}" for cell in line) for line in cells]
        above = data.draw(st.sampled_from(["", "# made by hand, 2026" + end, f"sep={separator}" + end, end * 2]))
        content = (above + end.join(lines) + data.draw(st.sampled_from(["", end]))).encode(
            data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
        )
        path.write_bytes(data.draw(st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]))(content))
    labels, counts = read_labels(path)
    assert labels.to_numpy().tolist() == sorted([row[0], *pair] for row, pair in zip(rows, meant, strict=True))
    assert counts["kept"] == counts["rows read"] == len(rows)


@pytest.mark.parametrize("name", ["SN?", "AGN/QSO", "Seyfert", "star", "SN Ia or II"])
def test_what_has_more_than_one_meaning_is_not_guessed(tmp_path, name):
    (tmp_path / "mine.csv").write_text(f"objectId,class\na,{name}\n")
    with pytest.raises(ValueError, match="unknown label"):
        read_labels(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("objectId class\na SN\nb VS\n", 2),
        ("| objectId | class |\n|---|---|\n| a | SN |\n", 1),
        ("objectId,class\n?,???\na,SN\n", 1),
        ("objectId,class\na,SN,\nb,VS,\n", 2),
        ("#objectId,class\na,SN\n", None),
    ],
    ids=["spaces", "a page's table", "signs alone", "a comma too many", "a header that is a note"],
)
def test_odd_tables_lose_no_column(tmp_path, text, kept):
    (tmp_path / "mine.csv").write_text(text)
    if kept is None:
        with pytest.raises(ValueError, match="has no column 'objectId'"):
            read_labels(tmp_path / "mine.csv")
    else:
        labels, _ = read_labels(tmp_path / "mine.csv")
        assert labels[["objectId", "classALeRCE"]].to_numpy().tolist() == [["a", "SN"], ["b", "VS"]][:kept]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK\x03\x04rest", "a zip file or a workbook"), ("objectId,class\na,SN\n".encode("utf-32"), "it is no text")],
)
def test_what_is_no_text_is_named(tmp_path, content, said):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_labels(tmp_path / "mine.csv")


def test_a_table_at_an_address_needs_no_other_package():
    with serve(lambda path, headers: (200, {}, b"oid,class\na,SN\n")) as server:
        labels, _ = read_labels(f"{server.url}/labels.csv")
    assert labels["objectId"].tolist() == ["a"]


def test_the_index_of_a_parquet_file_is_a_column(tmp_path):
    pd.DataFrame({"class": ["SN"]}, index=pd.Index(["a"], name="oid")).to_parquet(tmp_path / "mine.parquet")
    assert read_labels(tmp_path / "mine.parquet")[0]["objectId"].tolist() == ["a"]
