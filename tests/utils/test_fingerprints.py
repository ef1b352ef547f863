"""Inputs are told apart by what changes with their content."""

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from twostamp.utils import fingerprints
from twostamp.utils.fingerprints import describe_input, hash_code


def test_a_small_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("ZTF18a,SN,SNIa\n")
    before = describe_input(str(path))
    os.utime(path, (1, 1))
    assert describe_input(str(path)) == before
    path.write_text("ZTF18a,VS,RRL_\n")
    os.utime(path, (1, 1))
    assert describe_input(str(path)) != before
    path.unlink()
    assert describe_input(str(path)) == describe_input("") == '"missing"'


def test_a_large_file_of_the_same_size_is_known_by_its_time_or_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_SMALL", 3)
    path, other = tmp_path / "night.tar.gz", tmp_path / "other.tar.gz"
    path.write_bytes(b"four")
    other.write_bytes(b"FOUR")
    os.utime(path, ns=(5, 5))
    before = describe_input(str(path))
    os.utime(path, ns=(5, 6))
    assert describe_input(str(path)) != before
    os.utime(other, ns=(5, 5))
    other.replace(path)
    assert describe_input(str(path)) != before


def test_a_night_of_the_same_size_changes_its_folder_even_behind_a_link(tmp_path: Path) -> None:
    night, archive = tmp_path / "disk" / "night", tmp_path / "archive"
    night.mkdir(parents=True)
    archive.mkdir()
    (night / "1.avro").write_bytes(b"one")
    (archive / "night").symlink_to(night)
    (night / "round").symlink_to(archive)
    before = describe_input(str(archive))
    assert describe_input(str(archive)) == before
    os.utime(night / "1.avro", ns=(7, 7))
    changed = describe_input(str(archive))
    assert changed != before
    (night / "1.avro").rename(night / "2.avro")
    assert describe_input(str(archive)) not in (before, changed)


def test_reports_of_a_download_change_no_folder(tmp_path: Path) -> None:
    (tmp_path / "1.avro").write_bytes(b"one")
    before = describe_input(str(tmp_path))
    for name in ("broker.jsonl", "broker_failures.csv"):
        (tmp_path / name).write_text("ZTF18a")
        assert describe_input(str(tmp_path)) == before


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_remote_file_is_what_its_server_says(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("one")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        before = describe_input(f"{url}/labels.csv")
        assert describe_input(f"{url}/labels.csv") == before
        (tmp_path / "labels.csv").write_text("two!")
        assert describe_input(f"{url}/labels.csv") != before
        assert "no answer" in describe_input(f"{url}/absent.csv")
        server.shutdown()


def test_files_of_any_other_system_are_what_it_says(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/archive/a.avro", b"one")
    before = describe_input("memory://archive")
    memory.pipe("/archive/a.avro", b"others")
    assert describe_input("memory://archive") != before
    assert "no answer" in describe_input("nonsense://archive")


def test_code_is_modules_and_tables_without_the_study(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "a.py").write_text("1")
    before = hash_code(tmp_path)
    for name in ("a.pyc", "study/b.py"):
        (tmp_path / name).write_text("2")
        assert hash_code(tmp_path) == before
    (tmp_path / "a.py").write_text("2")
    assert hash_code(tmp_path) != before
    named = hash_code(tmp_path, ["a.py"])
    (tmp_path / "b.py").write_text("3")
    assert hash_code(tmp_path, ["a.py"]) == named
