"""Template databases: one with what the addon depends on (kept), one with the addon (made anew each run)."""

import hashlib
import re
import shutil
import subprocess
import time
from functools import cache

from environment import ADDON, REQUIREMENTS, say
from postgres import TESTS

DEPENDENCIES = "sale_management,sale_stock,queue_job"
PROGRESS_SECONDS = 10


def config(odoo, cluster=TESTS, folder=None, **options):
    """Write a configuration file and give its path.

    :param Path folder: where it and Odoo's files lie; the series' build folder when not given
    """
    database, folder = cluster.environment(), folder or odoo.build
    lines = {
        "addons_path": odoo.addons_path,
        "data_dir": folder / "data",
        "db_host": database["PGHOST"],
        "db_port": database["PGPORT"],
        "db_user": database["PGUSER"],
        "db_password": database["PGPASSWORD"],
        "list_db": "False",
        "without_demo": "all" if odoo.series < "19" else None,
        **options,
    }
    path = folder / "odoo.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    path.touch(mode=0o600)
    path.write_text("[options]\n" + body)
    return path


def filestore(odoo, name):
    return odoo.build / "data" / "filestore" / name


def drop(odoo, name):
    TESTS.client("dropdb", "--if-exists", "--force", name)
    shutil.rmtree(filestore(odoo, name), ignore_errors=True)


def copy(odoo, source, name):
    """Copy a database with its files."""
    drop(odoo, name)
    TESTS.client("createdb", "-T", source, name)
    if filestore(odoo, source).exists():
        shutil.copytree(filestore(odoo, source), filestore(odoo, name))


def install(odoo, database, modules):
    """Install modules."""
    run_odoo(odoo, config(odoo), database, "-i", modules)


def run_odoo(odoo, conf, database, *what):
    """Install or update modules; a line of level ERROR in Odoo's log is a failure, whatever its exit code.

    :param what: ``-i`` or ``-u`` and the modules
    """
    command = [*odoo.command, "-c", conf, "-d", database, *what]
    log = odoo.build / f"install-{database}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in [*command, "--stop-after-init", "--no-http"]],
            env=odoo.environment(), stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            tell_progress(process, log)
        finally:
            process.kill()
    text = log.read_text(errors="replace")
    bad = re.findall(r"^\S+ \S+ \d+ (?:ERROR|CRITICAL) .*$", text, re.M)
    if process.wait() or bad:
        raise SystemExit("\n".join(["Odoo failed at " + " ".join(what), *bad, text[-4000:]]))


def tell_progress(process, log):
    """Tell how many modules are loaded, every few seconds, until the process ends."""
    told = time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        loaded = re.findall(r"Loading module (\S+) \((\d+)/(\d+)\)", log.read_text(errors="replace"))
        if loaded and time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            say("module {1} of {2}: {0}".format(*loaded[-1]))


def ensure_base(odoo):
    """Give the template with the dependencies, made again when Odoo or its libraries change."""
    name = f"base_{odoo.series.replace('.', '_')}"
    requirements = "".join(path.read_text() for path in sorted(REQUIREMENTS.glob("odoo*.txt")))
    release = (odoo.source / "odoo" / "release.py").read_text()
    content = f"{odoo.source}{release}{requirements}{DEPENDENCIES}"
    digest = hashlib.sha256(content.encode()).hexdigest()
    stamp = TESTS.folder / f"{name}.stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"installing {DEPENDENCIES} on Odoo {odoo.series} (a minute or two, once)")
        drop(odoo, name)
        # Made here and not by Odoo, which would log an error for an extension that is not there.
        TESTS.client("createdb", "-T", "template0", "-E", "UTF8", name)
        install(odoo, name, DEPENDENCIES)
        stamp.write_text(digest)
    return name


@cache
def make_addon_template(odoo):
    """Give a fresh template with the addon as it is now; one for all stages of a run."""
    name = f"addon_{odoo.series.replace('.', '_')}"
    copy(odoo, ensure_base(odoo), name)
    say("installing the addon")
    install(odoo, name, ADDON)
    state = f"SELECT state FROM ir_module_module WHERE name = '{ADDON}'"
    found = TESTS.client("psql", "-d", name, "-Atc", state).strip()
    if found != "installed":
        raise SystemExit(f"The addon is {found!r} after its installation: see {odoo.build}")
    return name
