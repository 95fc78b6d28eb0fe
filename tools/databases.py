"""Template databases: one with what the addon depends on (kept), one with the addon (made anew each run)."""

import hashlib
import re
import shutil
import subprocess

import postgres
from environment import ADDON, REQUIREMENTS, say

DEPENDENCIES = "sale_management,sale_stock,queue_job"


def config(odoo, **options):
    """Write the configuration file of this series and give its path."""
    database = postgres.environment()
    lines = {
        "addons_path": odoo.addons_path,
        "data_dir": odoo.build / "data",
        "db_host": database["PGHOST"],
        "db_port": database["PGPORT"],
        "db_user": database["PGUSER"],
        "db_password": database["PGPASSWORD"],
        "list_db": "False",
        "without_demo": "all" if odoo.series < "19" else None,
        **options,
    }
    path = odoo.build / "odoo.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    path.write_text("[options]\n" + body)
    return path


def filestore(odoo, name):
    return odoo.build / "data" / "filestore" / name


def drop(odoo, name):
    postgres.client("dropdb", "--if-exists", "--force", name)
    shutil.rmtree(filestore(odoo, name), ignore_errors=True)


def copy(odoo, source, name):
    """Copy a database with its files."""
    drop(odoo, name)
    postgres.client("createdb", "-T", source, name)
    if filestore(odoo, source).exists():
        shutil.copytree(filestore(odoo, source), filestore(odoo, name))


def install(odoo, database, modules):
    """Install modules; a line of level ERROR in Odoo's log is a failure, whatever its exit code."""
    command = [odoo.python, "-m", "odoo", "-c", config(odoo), "-d", database, "-i", modules]
    result = subprocess.run(
        [str(part) for part in [*command, "--stop-after-init", "--no-http", "--log-level=warn"]],
        env=odoo.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    (odoo.build / f"install-{database}.log").write_text(result.stdout)
    bad = re.findall(r"^.* (?:ERROR|CRITICAL) .*$", result.stdout, re.M)
    if result.returncode or bad:
        raise SystemExit("\n".join(["Odoo could not install " + modules, *bad, result.stdout[-4000:]]))


def ensure_base(odoo):
    """Give the template with the dependencies, made again when Odoo or its libraries change."""
    name = f"base_{odoo.series.replace('.', '_')}"
    requirements = "".join(path.read_text() for path in sorted(REQUIREMENTS.glob("odoo*.txt")))
    release = (odoo.source / "odoo" / "release.py").read_text()
    content = f"{odoo.source}{release}{requirements}{DEPENDENCIES}"
    digest = hashlib.sha256(content.encode()).hexdigest()
    stamp = postgres.FOLDER / f"{name}.stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"installing {DEPENDENCIES} on Odoo {odoo.series} (a minute or two, once)")
        drop(odoo, name)
        # Made here and not by Odoo, which would log an error for an extension that is not there.
        postgres.client("createdb", "-T", "template0", "-E", "UTF8", name)
        install(odoo, name, DEPENDENCIES)
        stamp.write_text(digest)
    return name


def make_addon_template(odoo):
    """Give a fresh template with the addon as it is now."""
    name = f"addon_{odoo.series.replace('.', '_')}"
    copy(odoo, ensure_base(odoo), name)
    say("installing the addon")
    install(odoo, name, ADDON)
    state = f"SELECT state FROM ir_module_module WHERE name = '{ADDON}'"
    found = postgres.client("psql", "-d", name, "-Atc", state).strip()
    if found != "installed":
        raise SystemExit(f"The addon is {found!r} after its installation: see {odoo.build}")
    return name
