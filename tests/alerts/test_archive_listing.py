"""Archives in object stores and on web servers: the same sources, alerts and reasons as in a folder."""

import functools
import http.server
import tarfile
import threading
from pathlib import Path

import pytest

from tests.alerts.test_archive import ALERTS, make_tar
from tests.s3_server import serve_s3
from twostamp.alerts.archive import iter_members, read_members
from twostamp.alerts.archive_listing import list_sources, survey_archive
from twostamp.utils.extras import MissingExtraError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tarballs, a night with an object for every alert, and what is passed over."""
    top = tmp_path_factory.mktemp("archive")
    (top / "2020").mkdir()
    (top / "2020" / "b.tar.gz").write_bytes(make_tar(mode="w:gz"))
    (top / "a.tar").write_bytes(make_tar(format=tarfile.PAX_FORMAT))
    night = top / "2020" / "01" / "night"
    night.mkdir(parents=True)
    for n in range(150):  # more than are asked for at a time
        (night / f"{n:03d}.avro").write_bytes(ALERTS["3.avro"] + bytes([n]))
    (top / "2020" / "night.zip").write_bytes(b"PK")
    (top / "2020" / ".hidden").mkdir()
    (top / "2020" / ".hidden" / "1.avro").write_bytes(b"?")
    (top / "labels.csv").write_text("objectId")
    return top


def compare(folder, url):
    """Hold an archive behind a URL to the same folder."""
    sources, passed_over = survey_archive(url)
    expected, expected_over = survey_archive(str(folder))
    short = {name.removeprefix(url): source.size for name, source in sources.items()}
    assert short == {name.removeprefix(str(folder)): source.size for name, source in expected.items()}
    assert {name.removeprefix(url): why for name, why in passed_over.items()} == {
        name.removeprefix(str(folder)): why for name, why in expected_over.items()
    }
    members = [[(m.name, m.data) for m in iter_members(archive, progress=False)] for archive in (url, str(folder))]
    assert members[0] == members[1]
    (night,) = [name for name in sources if name.endswith("night")]
    assert [member.name for member in read_members(night, {"007.avro", "140.avro"})] == ["007.avro", "140.avro"]


def test_s3(folder):
    s3fs = pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    with serve_s3(folder) as (url, _):
        compare(folder, url)
        before = survey_archive(url)[0]
        store = s3fs.S3FileSystem()
        store.pipe(f"{url}/2020/01/night/000.avro", bytes(1 + len(ALERTS["3.avro"])))
        after = survey_archive(url)[0]
        assert [name for name in after if after[name] != before[name]] == [f"{url}/2020/01/night"]
        store.rm(f"{url}/2020/01/night/001.avro")
        assert len(list(read_members(f"{url}/2020/01/night"))) == 149


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # all are asked for at once, and a connection that finds no place comes seconds later


def test_https(folder):
    pytest.importorskip("aiohttp")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *_: None
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        compare(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.mark.parametrize(("module", "extra"), [("s3fs", "s3"), ("gcsfs", "gcs"), ("aiohttp", "http")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, module, extra):
    def url_to_fs(_):
        try:
            raise ModuleNotFoundError(name=module)
        except ModuleNotFoundError as error:
            raise ImportError(f"Install {module}") from error  # as fsspec does

    monkeypatch.setattr("fsspec.core.url_to_fs", url_to_fs)
    with pytest.raises(MissingExtraError, match=rf"twostamp\[{extra}\]"):
        list_sources("store://bucket/alerts")


def test_folders_are_listed_where_the_caller_says(folder):
    levels = []

    def spread(work, folders):
        levels.append([Path(name).name for name in folders])
        return [work(name) for name in folders]

    assert survey_archive(str(folder), spread) == survey_archive(str(folder))
    assert levels == [[folder.name], ["2020"], [".hidden", "01"], ["night"]]
