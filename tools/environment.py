"""Where everything lies, which Odoo is used, and the virtual environments. Standard library only."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import odoo19

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CACHE = Path(
    os.environ.get("CARTONA_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartona_integration"
)
REQUIREMENTS = ROOT / "tools" / "requirements"
ADDON = "cartona_integration"
# queue_job names "odoo" as a dependency, which no package index has: never with its dependencies.
QUEUE_JOB = {
    "17.0": "odoo-addon-queue_job==17.0.1.5.4",
    "19.0": "odoo-addon-queue_job==19.0.2.4.0.1",
}


class Missing(SystemExit):
    """Something a person must provide: one line, with the command that mends it."""

    def __init__(self, what, remedy):
        super().__init__(f"MISSING: {what}. {remedy}")


def say(text):
    """Tell progress at once, also into a pipe."""
    print(f"· {text}", flush=True)


def run(*command, **options):
    """Run a command that must succeed."""
    return subprocess.run([str(part) for part in command], check=True, **options)


@dataclass(frozen=True)
class Odoo:
    """An Odoo to run: its series, what goes on PYTHONPATH, and why this one."""

    series: str
    source: Path
    why: str

    @property
    def build(self):
        """The git-ignored folder of everything made for this series."""
        return BUILD / self.series

    @property
    def python(self):
        return self.build / "venv" / "bin" / "python"

    @property
    def addons(self):
        """The folder that holds the addon: the clone itself, or its port."""
        return ROOT if self.series == "17.0" else self.build

    @property
    def addons_path(self):
        return f"{self.source / 'odoo' / 'addons'},{self.addons}"

    def environment(self, **more):
        """Environment of every process that runs this Odoo."""
        return {
            **os.environ,
            "PYTHONPATH": str(self.source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            **more,
        }


def series_of(source):
    """Read the series from an Odoo source tree.

    :raise Missing: it is none
    """
    release = source / "odoo" / "release.py"
    found = release.exists() and re.search(r"^version_info = \((\d+), (\d+)", release.read_text(), re.M)
    if not found:
        raise Missing(
            f"{source} is not an Odoo source tree", "Point ODOO_SOURCE at the folder that holds odoo/."
        )
    return f"{found[1]}.{found[2]}"


def choose_odoo():
    """Choose the Odoo to run.

    ``ODOO_SOURCE`` wins, then a 17.0 tree in the cache folder, then Debian's Odoo 19 with the addon ported.
    ``SERIES=19.0`` asks for the latter.
    """
    wanted = os.environ.get("SERIES", "")
    given = os.environ.get("ODOO_SOURCE")
    if given and wanted in ("", series_of(Path(given))):
        return Odoo(series_of(Path(given)), Path(given), "named by ODOO_SOURCE")
    cached = CACHE / "odoo-17.0"
    if wanted in ("", "17.0") and (cached / "odoo" / "release.py").exists():
        return Odoo("17.0", cached, "found in the cache folder")
    if wanted == "17.0":
        raise Missing(f"an Odoo 17.0 source in {cached}", "Put one there, or set ODOO_SOURCE to one.")
    source = odoo19.ensure(CACHE / "odoo-19.0")
    why = "asked for by SERIES" if wanted else "no Odoo 17.0 source here: set ODOO_SOURCE to test on 17.0"
    return Odoo("19.0", source, why)


def ensure_port(odoo):
    """Write the addon for a later series into the build folder."""
    if odoo.addons == ROOT:
        return
    say(f"porting the addon to {odoo.series}")
    target = odoo.addons / ADDON
    shutil.rmtree(target, ignore_errors=True)
    run(odoo.python, ROOT / "tools" / "port.py", ROOT / ADDON, target, odoo.series)


def ensure_odoo_venv(odoo):
    """Make the virtual environment that runs Odoo, the simulator and the tests."""
    name = f"odoo{odoo.series.split('.')[0]}.txt"
    files = [REQUIREMENTS / name, REQUIREMENTS / "test.txt"]
    ensure_venv(odoo.build / "venv", files, [QUEUE_JOB[odoo.series]])


def ensure_venv(folder, files, without_dependencies=()):
    """Make or renew a virtual environment when what it should hold has changed.

    :param files: requirement files
    :param without_dependencies: requirements installed alone
    """
    content = "".join(file.read_text() for file in files) + " ".join(without_dependencies) + sys.version
    stamp, digest = folder / "stamp", hashlib.sha256(content.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    say(f"making the virtual environment {folder.relative_to(ROOT)} (half a minute)")
    shutil.rmtree(folder, ignore_errors=True)
    install = make_venv(folder)
    listed = [part for file in files for part in ("-r", file)]
    # docopt is published as a source archive only; it is pure Python. Nothing else may need a compiler.
    run(*install, "--only-binary", ":all:", "--no-binary", "docopt", *listed)
    if without_dependencies:
        run(*install, "--no-deps", *without_dependencies)
    stamp.write_text(digest)


def make_venv(folder):
    """Make an empty virtual environment, with uv where pip can bring it, else with Python's own tools.

    :return: the command that installs into it
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = ensure_uv()
    if uv:
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        return [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
    if made.returncode:
        raise Missing("Python can make no virtual environment", "Run: apt-get install python3-venv")
    return [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def ensure_uv():
    """Give the path of uv, installed beside the project; None where pip cannot bring it."""
    target = BUILD / "uv"
    program = target / "bin" / "uv"
    if not program.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "uv"]
        subprocess.run(pip, check=False, capture_output=True)
    return program if program.exists() else None
