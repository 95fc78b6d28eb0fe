"""Where everything lies, which Odoo is used, and the virtual environments. Standard library only."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import odoo17
import odoo19

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CACHE = Path(
    os.environ.get("CARTONA_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartona_integration"
)
REQUIREMENTS = ROOT / "tools" / "requirements"
ADDON = "cartona_integration"
# The names Odoo's tests look for.
BROWSERS = ("google-chrome", "chromium", "chromium-browser", "google-chrome-stable")
# Where the 17.0 source could not be reached, it is not tried again at each start for so long.
DAY = 24 * 3600
# queue_job names "odoo" as a dependency, which no package index has: never with its dependencies.
QUEUE_JOB = {
    "17.0": "odoo-addon-queue_job==17.0.1.5.4",
    "19.0": "odoo-addon-queue_job==19.0.2.4.0.1",
}


class Missing(SystemExit):
    """Something a person must provide: one line, with the command that mends it."""

    def __init__(self, what, remedy):
        super().__init__(f"MISSING: {what}. {remedy}")


def ensure_browser():
    """Have a browser for the tests of the screens.

    :raise Missing: there is none, and only root may get one
    """
    if any(shutil.which(name) for name in BROWSERS):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise Missing("Chromium, for the tests of the screens", "Run: apt-get install chromium")
    say("installing Chromium for the tests of the screens")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", stdout=subprocess.DEVNULL)


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
        """The folders with addons; a clone has most of Odoo's own beside its code, a package inside it."""
        own = (self.source / "odoo" / "addons", self.source / "addons")
        return ",".join(str(path) for path in (*own, self.addons) if path.exists())

    @property
    def command(self):
        """The beginning of a command that runs Odoo."""
        return [self.python, ROOT / "tools" / "run_odoo.py"]

    def environment(self, **more):
        """Environment of every process that runs this Odoo."""
        return {
            **os.environ,
            "PYTHONPATH": str(self.source),
            # Without bytecode each process compiles all of Odoo; beside the sources it does not belong.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(BUILD / "pycache"),
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

    ``ODOO_SOURCE`` wins, then a 17.0 tree in the cache folder, then its makers' archive, then Debian's
    Odoo 19 with the addon ported. ``SERIES`` asks for one of the two.
    """
    wanted = os.environ.get("SERIES", "")
    if wanted not in ("", "17.0", "19.0"):
        raise Missing(f"Odoo {wanted}", "Set SERIES to 17.0 or 19.0, or leave it out.")
    given = os.environ.get("ODOO_SOURCE")
    if given and wanted in ("", series_of(Path(given))):
        return Odoo(series_of(Path(given)), Path(given).absolute(), "named by ODOO_SOURCE")
    if wanted == "19.0":
        return Odoo("19.0", odoo19.ensure(CACHE / "odoo-19.0"), "asked for by SERIES")
    return choose_17(must=wanted == "17.0")


def choose_17(must):
    """Give the cached 17.0, or bring it; else Odoo 19 with the reason.

    :param bool must: fail instead of taking Odoo 19
    """
    target = CACHE / "odoo-17.0"
    if (target / "odoo" / "release.py").exists():
        return Odoo("17.0", target, "found in the cache folder")
    note = CACHE / "odoo-17.0.unreachable"
    if not must and note.exists() and time.time() - note.stat().st_mtime < DAY:
        return instead(note.read_text())
    reason = reason_of_failure(target)
    if not reason:
        note.unlink(missing_ok=True)
        return Odoo("17.0", target, "its makers' source")
    if must:
        raise Missing(f"the Odoo 17.0 source ({reason})", "Set ODOO_SOURCE to the folder of one.")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(reason)
    return instead(reason)


def reason_of_failure(target):
    """Bring Odoo 17.0, or tell why it cannot be had."""
    try:
        odoo17.ensure(target)
    except odoo17.Unreachable as error:
        return str(error)


def instead(reason):
    """Give Debian's Odoo 19, and say why it is not 17.0."""
    source = odoo19.ensure(CACHE / "odoo-19.0")
    why = f"the 17.0 source cannot be reached from here ({reason}); SERIES=17.0 tries again"
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
        command = [*pip(), "install", "--quiet", "--target", target, "uv"]
        subprocess.run([str(part) for part in command], check=False, capture_output=True)
    return program if program.exists() else None


def pip():
    """Give a command that is pip: Python's own, else Debian's, unpacked into the build folder."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], check=False, capture_output=True).returncode == 0:
        return own
    folder = BUILD / "pip"
    if not folder.exists() and odoo19.has_apt():
        folder.parent.mkdir(parents=True, exist_ok=True)
        say("no pip on this machine: taking Debian's")
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder.parent) as made:
            [package] = odoo19.download(Path(made), {odoo19.codename(): ("python3-pip-whl",)})
            run("dpkg", "-x", package, Path(made) / "root")
            (Path(made) / "root").rename(folder)
    wheels = sorted(folder.glob("usr/share/python-wheels/pip-*.whl"))
    return [sys.executable, wheels[-1] / "pip"] if wheels else own
