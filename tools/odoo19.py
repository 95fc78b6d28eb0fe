"""Bring Odoo 19 from Debian: the package of sid, unpacked into a folder. Needs no root, changes no system.

Odoo is on no package index; where nobody has a clone of it, Debian's mirrors are the one place to get it.
``odoo19.py TARGET`` prints the folder that belongs on PYTHONPATH.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON_PATH = Path("usr/lib/python3/dist-packages")
STAMP = ".complete"
# The package links to fonts and scripts of other packages. Not every suite still has the linked files.
PACKAGES = {
    "sid": (
        "odoo-19",
        "libjs-jquery",
        "libjs-jquery-form",
        "libjs-underscore",
        "fonts-roboto-unhinted",
        "fonts-montserrat",
        "fonts-ocr-b",
    ),
    "bookworm": ("fonts-font-awesome", "fonts-inconsolata"),
}
# Debian leaves it out as not free; without a file of that name no asset bundle is made.
LEFT_OUT = Path("odoo/addons/mail/static/lib/selfie_segmentation/selfie_segmentation.js")
KEYRINGS = [Path("/usr/share/keyrings") / f"debian-archive-keyring.{kind}" for kind in ("gpg", "pgp")]
SUITE_NAMES = {"stable", "oldstable", "testing", "unstable", "sid"}


def ensure(target):
    """Have Odoo 19 in a folder.

    :param Path target: made when it is not there
    :return: the folder that belongs on PYTHONPATH
    :raise SystemExit: it cannot be had here; says why
    """
    target = Path(target).absolute()
    if not (target / STAMP).exists():
        if not has_apt():
            raise SystemExit("MISSING: apt. Debian's Odoo 19 can be had on Debian only.")
        if target.exists() and any(target.iterdir()):
            raise SystemExit(f"{target} is not empty and was not made by this tool: name another folder.")
        bring(target)
    return target / PYTHON_PATH


def bring(target):
    """Download and unpack beside the target, and move into place only what is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".odoo19-", dir=target.parent) as made:
        folder = Path(made)
        packages = download(folder, PACKAGES)
        root = folder / "root"
        for number, package in enumerate(packages, 1):
            say(f"unpacking {number} of {len(packages)}: {package.name}")
            run("dpkg", "-x", package, root)
        stub = root / PYTHON_PATH / LEFT_OUT
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("/* not in Debian's package */\n")
        warn_of_broken_links(root)
        (root / STAMP).write_text("".join(f"{package.name}\n" for package in packages))
        root.rename(target)
    say(f"Odoo 19 is in {target}")


def has_apt():
    return all(map(shutil.which, ("apt-get", "apt-config", "dpkg")))


def download(folder, packages):
    """Download packages with an apt of our own: sources, lists and cache lie in the folder.

    :param dict packages: names by Debian suite
    """
    mirror = find_mirror()
    environment = {**os.environ, "APT_CONFIG": str(own_apt(folder, mirror, packages))}
    say(f"reading the package lists of {' and '.join(packages)} from {mirror}")
    try:
        run("apt-get", "update", "-qq", env=environment)
    except subprocess.CalledProcessError:
        raise SystemExit(
            f"MISSING: Debian's packages: {mirror} does not give its lists (see above)."
        ) from None
    names = [f"{name}/{suite}" for suite, names in packages.items() for name in names]
    say(f"downloading {', '.join(name.partition('/')[0] for name in names)}")
    run("apt-get", "download", "-qq", *names, env=environment, cwd=folder)
    return sorted(folder.glob("*.deb"))


def find_mirror():
    """Ask apt where this machine gets Debian from."""
    listing = ["apt-get", "indextargets", "--no-release-info", "--format", "$(RELEASE) $(COMPONENT) $(SITE)"]
    lines = run(*listing, "Created-By: Packages", capture_output=True, text=True).stdout.splitlines()
    targets = [line.split(maxsplit=2) for line in lines]
    sites = [site for suite, part, site in targets if suite in {*SUITE_NAMES, codename()} and part == "main"]
    if not sites:
        raise SystemExit(
            "MISSING: a Debian mirror in apt's sources. Debian's Odoo 19 can be had on Debian only."
        )
    return min(sites, key=lambda site: not site.rstrip("/").endswith("/debian"))


def codename():
    """Give the name of the running Debian release."""
    lines = Path("/etc/os-release").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"')


def own_apt(folder, mirror, suites):
    """Write apt's configuration and source list into the folder.

    Of the machine's configuration only what is about connections counts: hooks would clean its own cache.
    """
    keyring = next((path for path in KEYRINGS if path.exists()), None)
    if not keyring:
        raise SystemExit("MISSING: Debian's keys. Run: apt-get install debian-archive-keyring")
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "cache/archives/partial").mkdir(parents=True)
    (folder / "status").touch()
    sources = [f"deb [signed-by={keyring}] {mirror} {suite} main\n" for suite in suites]
    (folder / "sources.list").write_text("".join(sources))
    own = {
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    machine = run("apt-config", "dump", capture_output=True, text=True).stdout.splitlines()
    lines = [line for line in machine if line.startswith("Acquire::")]
    lines += [f'{name} "{value}";' for name, value in own.items()]
    configuration = folder / "apt.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return configuration


def warn_of_broken_links(root):
    """Name the links that lead nowhere: sid moves on, and a missing script breaks every page."""
    for path in (root / PYTHON_PATH / "odoo").rglob("*"):
        if path.is_symlink() and not path.exists():
            say(f"WARNING: a link leads nowhere: {path.relative_to(root)} -> {os.readlink(path)}")


def say(text):
    """Tell progress at once, also into a pipe. Standard output is for the answer."""
    print(f"· {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, **options)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(ensure(Path(sys.argv[1])))
