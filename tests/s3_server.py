"""An S3 server on this machine, for tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from tests.ports import find_port


@contextmanager
def serve_s3(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Put a folder into a bucket of a server; its URL, and the variables by which a process finds the server."""
    from moto.server import ThreadedMotoServer

    port = find_port()  # early versions of moto do not say which port they took
    server = ThreadedMotoServer("127.0.0.1", port)
    server.start()
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    variables |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    before = dict(os.environ)
    os.environ.update(variables)
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    try:
        store.mkdir("alerts")
        store.put(f"{folder}/", "alerts/survey/", recursive=True)
        yield "s3://alerts/survey", variables
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(before)
        type(store).clear_instance_cache()
