import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from twostamp.utils.files import replacing, write_file, write_json, write_table


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as part:
        part.write_text("a")
        assert part.suffix == ".csv"
        assert not path.exists()
    assert path.read_text() == "a"
    assert [*path.parent.iterdir()] == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    write_file(path, "old")

    def write_half():
        with replacing(path) as part:
            part.write_text("new")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        write_half()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "table.csv"):
        pass
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("old", ["nothing", "a folder"])
def test_a_folder_replaces_what_is_there(tmp_path, old):
    path = tmp_path / "model"
    if old == "a folder":
        (path / "gone").mkdir(parents=True)
    with replacing(path) as part:
        (part / "sub").mkdir(parents=True)
        (part / "sub" / "card.json").write_text("{}")
    assert sorted(str(file.relative_to(path)) for file in path.rglob("*")) == ["sub", "sub/card.json"]
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path):
    program = (
        "import os, pathlib, signal, sys; from twostamp.utils.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "table.csv"
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    with replacing(tmp_path / "running.csv") as running:  # swept here
        assert not left.exists()
        running.write_text("half")
        program = (
            "import pathlib, sys; from twostamp.utils.files import write_file as w; w(pathlib.Path(sys.argv[1]), b'x')"
        )
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        assert running.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["running.csv", "table.csv"]


def test_what_another_machine_left_is_cleared_a_day_later(tmp_path):
    old, new = tmp_path / ".elsewhere.1.part-table.csv", tmp_path / ".elsewhere.2.part-table.csv"
    for left, days in ((old, 2), (new, 0)):
        left.write_text("half")
        os.utime(left, (time.time() - days * 86_400,) * 2)
    write_file(tmp_path / "table.csv", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "table.csv"]


def test_two_processes_that_write_one_file_do_not_meet(tmp_path):
    with replacing(tmp_path / "a.npy") as part:
        np.save(part, np.zeros(2))
        program = (
            "import pathlib, sys; from twostamp.utils.files import write_file as w; w(pathlib.Path(sys.argv[1]), b'x')"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.npy")], check=True)
        assert part.exists()
    assert np.load(tmp_path / "a.npy").shape == (2,)


def test_files_of_one_folder_are_written_side_by_side(tmp_path):
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda number: write_file(tmp_path / f"{number}.avro", b"x" * number), range(50)))
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == list(range(50))


def test_text_is_utf_8_and_json_is_indented(tmp_path):
    write_file(tmp_path / "a.txt", "±\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb1\n"
    write_json(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / "a.json").read_text() == '{\n "a": 1\n}'


def test_a_table_is_written_as_its_ending_says(tmp_path):
    table = pd.DataFrame({"objectId": ["ZTF18a"], "candid": [2**60 + 1]})
    for name, read in (("a.csv", pd.read_csv), ("a.parquet", pd.read_parquet)):
        write_table(table, tmp_path / name)
        assert read(tmp_path / name).equals(table)
    with pytest.raises(ValueError, match=r"a\.xls is neither"):
        write_table(table, tmp_path / "a.xls")
