"""A PostgreSQL server of the tests' own: a new cluster on a free port, run by an unprivileged user."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tests.ports import find_port

MISSING = "there is no PostgreSQL with q3c (Debian: postgresql-15, postgresql-15-q3c)"


def find_binaries():
    """Folder of the newest installed server that has q3c, or None."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    if found := shutil.which("pg_ctl"):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        config = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
        if (folder / "initdb").exists() and (Path(config.stdout.strip()) / "extension" / "q3c.control").exists():
            return folder
    return None


def unprivileged():
    """Who runs the server: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def run_postgres(binaries):
    """Start a cluster with nothing in it but its owner; gives the port and the owner's password."""
    folder = Path(tempfile.mkdtemp(prefix="twostamp-postgres-"))
    password, who = secrets.token_hex(12), unprivileged()
    (folder / "password").write_text(password)
    if who:
        for path in (folder, folder / "password"):
            os.chown(path, who["user"], who["group"])
    port, data, log = find_port(), folder / "data", folder / "log"
    control = [binaries / "pg_ctl", "-D", data, "-t", "300"]
    options = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": folder} | who
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_wal_size=4GB"
    initdb = [binaries / "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
    try:
        subprocess.run([*initdb, f"--pwfile={folder / 'password'}", "--no-sync"], **options)
        subprocess.run([*control, "-l", log, "-w", "-o", settings, "start"], **options)
        try:
            yield port, password
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
