"""Java and settings of Spark: those of this package, whatever the user's environment sets."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_HINT = (
    "Spark needs Java 17 or newer: install it (Debian: apt-get install openjdk-17-jre-headless; conda: openjdk) or set "
    "JAVA_HOME"
)
_OLDEST, _NEWEST_OF_SPARK_4_0 = 17, 22  # the Hadoop of Spark 4.0 needs a security manager, which Java 23 lacks
_SETTINGS = re.compile(r"(PY)?SPARK_(?!(DRIVER_)?PYTHON$|GATEWAY_)|(HADOOP|YARN)_CONF_DIR$")
"""Variables that select another Spark, another file system, or their settings."""
_HOME_ADDRESS = {"SPARK_LOCAL_IP": "127.0.0.1"}


class SparkUnavailableError(RuntimeError):
    """Spark cannot start on this machine; the message names what to install."""


def require_java() -> None:
    """Check that there is a Java for the installed Spark.

    Raises
    ------
    SparkUnavailableError
        If there is no Java, or one too old or too new; the message has the fix.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise SparkUnavailableError(_HINT)
    banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', banner)
    release = int(found[1]) if found else _OLDEST
    if release < _OLDEST:
        raise SparkUnavailableError(f"{_HINT}; {java} is version {release}")
    spark = _spark_version()
    if spark.startswith("4.0.") and release > _NEWEST_OF_SPARK_4_0:
        raise SparkUnavailableError(
            f"Spark {spark} does not run on Java {release} ({java}): set JAVA_HOME to a Java 17 or 21, or install "
            '"pyspark>=4.1"'
        )


def _spark_version() -> str:
    try:
        return version("pyspark")
    except PackageNotFoundError:
        return ""


def find_scratch() -> str:
    """Find a folder from which Java can load its compression libraries: /tmp may forbid it (mount option noexec).

    Raises
    ------
    SparkUnavailableError
        If no folder for temporary files allows it.
    """
    folders = ("/tmp", tempfile.gettempdir(), "/var/tmp", str(Path.home()))
    for folder in folders:
        if os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return folder
    raise SparkUnavailableError(f"none of {', '.join(folders)} lets programs run: set TMPDIR to a folder that does")


@contextmanager
def without_settings() -> Iterator[None]:
    """Start a local Spark as this package means it, without `_SETTINGS`, and leave them to the user afterwards."""
    theirs = {name: os.environ.pop(name) for name in list(os.environ) if _SETTINGS.match(name)}
    os.environ.update(_HOME_ADDRESS)
    try:
        yield
    finally:
        for name in _HOME_ADDRESS:
            del os.environ[name]
        os.environ.update(theirs)
