"""Spark starts as this package means it in any environment, or one sentence says why not."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from twostamp.utils import java
from twostamp.utils.java import SparkUnavailableError, find_scratch, require_java, without_settings
from twostamp.utils.spark import make_spark

LEADING = (
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "PYSPARK_SUBMIT_ARGS",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
    "SPARK_LOCAL_DIRS",
)


def install_java(folder: Path, release: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{release}\"' >&2\n")
    (folder / "bin" / "java").chmod(0o755)


@pytest.mark.parametrize(
    ("release", "spark", "message"),
    [
        ("11.0.2", "4.1.1", "is version 11"),
        ("1.8.0_292", "4.1.1", "is version 1"),
        ("23.0.1", "4.0.2", "Spark 4.0.2 does not run on Java 23 .*: set JAVA_HOME to a Java 17 or 21"),
        ("25", "4.0.0", "does not run on Java 25"),
        ("17.0.15", "4.0.0", ""),
        ("22", "4.0.0", ""),
        ("25", "4.1.1", ""),
        ("25", "", ""),
    ],
)
def test_a_java_too_old_or_too_new_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, spark: str, message: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_spark_version", lambda: spark)
    install_java(tmp_path, release)
    if not message:
        require_java()
        return
    with pytest.raises(SparkUnavailableError, match=message) as error:
        require_java()
    assert "\n" not in str(error.value)


def test_without_a_java_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SparkUnavailableError, match="Java 17 or newer: install it"):
        make_spark()


def test_scratch_is_where_programs_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = {"/tmp", "/var/tmp"}
    monkeypatch.setattr(java.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(java.os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC * (path in forbidden)))
    assert find_scratch() == str(tmp_path)
    forbidden.discard("/tmp")
    assert find_scratch() == "/tmp"
    forbidden |= {"/tmp", str(tmp_path), str(Path.home())}
    with pytest.raises(SparkUnavailableError, match="lets programs run: set TMPDIR to a folder that does"):
        find_scratch()


def test_settings_are_the_users_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = dict.fromkeys((*LEADING, "SPARK_LOCAL_IP", "SPARK_REMOTE", "SPARK_ANYTHING"), "/elsewhere")
    kept = {"PYSPARK_PYTHON": "/bin/python", "PYSPARK_GATEWAY_PORT": "7", "JAVA_HOME": "/java"}
    for name, value in (theirs | kept).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SPARK_LOG_DIR", raising=False)
    before = dict(os.environ)
    with without_settings():
        assert not (theirs.keys() - {"SPARK_LOCAL_IP"}) & os.environ.keys()
        assert os.environ["SPARK_LOCAL_IP"] == "127.0.0.1"
        assert kept.items() <= os.environ.items()
    assert os.environ == before
    monkeypatch.delenv("SPARK_LOCAL_IP")
    with without_settings():
        pass
    assert "SPARK_LOCAL_IP" not in os.environ


@pytest.mark.slow
def test_spark_starts_beside_another_spark_and_settings_that_stop_it(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.memory 1k\nspark.jars.packages no:such:1\n")
    (tmp_path / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name><value>hdfs://nowhere:9000</value></property></configuration>"
    )
    theirs = dict.fromkeys(LEADING, str(tmp_path)) | {
        "PYSPARK_SUBMIT_ARGS": "--master yarn",
        "SPARK_LOCAL_IP": "10.9.9.9",
    }
    theirs |= {"SPARK_HOME": "/opt/spark-3.5", "SPARK_LOCAL_DIRS": "/proc/none", "SPARK_REMOTE": "sc://nowhere"}
    theirs |= {"PYSPARK_DRIVER_PYTHON": "jupyter", "PYSPARK_PYTHON": "python2"}
    code = f"""if True:
        from twostamp.utils import make_spark
        spark = make_spark("local[1,4]")
        spark.range(3).write.parquet("{tmp_path}/three")
        print(spark.read.parquet("{tmp_path}/three").rdd.map(lambda row: row.id).sum())"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | theirs, capture_output=True, text=True, check=False
    )
    assert done.stdout == "3\n", done.stderr
