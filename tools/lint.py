"""Check style and the design's rules. ``--fix`` writes what can be mended by itself."""

import json
import shutil
import subprocess
import sys

from environment import ADDON, BUILD, REQUIREMENTS, ROOT, Missing, ensure_venv, run, say

VENV = BUILD / "lint-venv"
NODE = BUILD / "node"
# README.md is enough of a README; init() returns nothing, also when it calls super; an account's sides
# (settings, traffic, prices and stock) are files of their own.
PYLINT = [
    "--disable=all",
    "--enable=odoolint",
    "--disable=missing-readme,missing-return,consider-merging-classes-inherited",
]
XML = [f"{ADDON}/{folder}/*.xml" for folder in ("data", "security", "views")]


def tool(name, *arguments):
    """Give the command of a linter in the lint environment."""
    return [VENV / "bin" / name, *arguments]


def ensure_prettier():
    """Install prettier with its XML plugin beside the project and give its command."""
    if not shutil.which("npm"):
        raise Missing("npm, which brings the XML formatter", "Run: apt-get install npm")
    wanted = (ROOT / "package.json").read_text()
    stamp = NODE / "package.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        say("installing prettier")
        NODE.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--silent", "--no-package-lock", "--prefix", NODE, *dependencies(wanted))
        stamp.write_text(wanted)
    plugin = NODE / "node_modules" / "@prettier" / "plugin-xml" / "src" / "plugin.js"
    return [NODE / "node_modules" / ".bin" / "prettier", f"--plugin={plugin}"]


def dependencies(package):
    """List name@version of what package.json asks for."""
    return [f"{name}@{version}" for name, version in json.loads(package)["devDependencies"].items()]


def checks(fix):
    """Give (name, command) of every check."""
    prettier = ensure_prettier()
    ports = [
        (
            f"port to {series}",
            [VENV / "bin" / "python", "tools/port.py", ADDON, BUILD / series / ADDON, series],
        )
        for series in ("18.0", "19.0")
    ]
    catalogues = sorted((ROOT / ADDON / "i18n").glob("*.po*"))
    return [
        ("ruff", tool("ruff", "check", *(["--fix"] if fix else []), ".")),
        ("ruff format", tool("ruff", "format", *([] if fix else ["--check", "--diff", "--quiet"]), ".")),
        ("pylint-odoo", tool("pylint", *PYLINT, ADDON)),
        ("OCA checks", tool("oca-checks-odoo-module", ADDON)),
        *([("OCA checks of translations", tool("oca-checks-po", *catalogues))] if catalogues else []),
        ("XML format", [*prettier, "--write" if fix else "--check", "--log-level=warn", *XML]),
        ("import rules", [VENV / "bin" / "python", "tools/check_imports.py"]),
        *ports,
    ]


def main():
    ensure_venv(VENV, [REQUIREMENTS / "lint.txt"])
    failed = []
    for name, command in checks("--fix" in sys.argv):
        say(name)
        if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
            failed.append(name)
    say(f"lint FAILED: {', '.join(failed)}" if failed else "lint OK")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
