"""Bring the catalogues in cartona_integration/i18n up to date with the texts of the addon.

The template is what Odoo itself exports from a database with the addon; each translation keeps what it has,
gets the new terms empty and loses the gone ones. Tells what is left to translate. ``--check`` writes nothing:
exit code 1 when there is something to write or to translate.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import databases
import setup
from environment import ADDON, ROOT, say
from postgres import TESTS

FOLDER = ROOT / ADDON / "i18n"
TEMPLATE = FOLDER / f"{ADDON}.pot"
# The series the source is written for: a later one's exporter also takes strings that are no texts.
SERIES = "17.0"
# No dates, version or place: a run that finds nothing new changes nothing.
METADATA = {
    "Project-Id-Version": ADDON,
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
}
EXPORT = f"""
from odoo.tools.translate import trans_export
with open({{path!r}}, "wb") as file:
    trans_export(False, [{ADDON!r}], file, "po", env.cr)
"""


def export(odoo):
    """Let Odoo write the terms of the addon as it is now, and give the file.

    :raise SystemExit: it could not read one of our files; it would leave all terms of that file out
    """
    database = databases.make_addon_template(odoo)
    path = odoo.build / TEMPLATE.name
    command = [*odoo.command, "shell", "-c", databases.config(odoo), "-d", database]
    done = subprocess.run(
        [str(part) for part in [*command, "--no-http", "--log-level=error"]],
        input=EXPORT.format(path=str(path)), env=odoo.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode or " ERROR " in done.stdout or "Traceback" in done.stdout:
        raise SystemExit(
            f"{done.stdout}\nOdoo cannot export the terms. An f-string inside _() is beyond its reader."
        )
    return path


def make_template(polib, exported):
    """Give Odoo's export with a header that does not change."""
    template = polib.pofile(str(exported))
    template.header = f"Translation template of {ADDON}, written by tools/translations.py."
    template.metadata = METADATA
    return template


def merge(polib, template, old):
    """Give a translation with exactly the terms of the template, in its order."""
    new = polib.POFile()
    new.header, new.metadata = old.header, old.metadata
    known = {entry.msgid: entry for entry in old}
    for entry in template:
        before = known.get(entry.msgid)
        kept = {"msgstr": before.msgstr, "tcomment": before.tcomment} if before else {}
        flags = [*entry.flags, *(["fuzzy"] if before and before.fuzzy else [])]
        new.append(
            polib.POEntry(
                msgid=entry.msgid, comment=entry.comment, occurrences=entry.occurrences, flags=flags, **kept
            )
        )
    return new


def tell(path, old, new):
    """Print what is left to do in a translation.

    :return: how much
    """
    catalogue = importlib.import_module("catalogue")
    terms = {entry.msgid for entry in new}
    for entry in old:
        if entry.msgid not in terms:
            print(f"{path.name}: gone: {entry.msgid!r}, which was {entry.msgstr!r}")
    wrong = [(entry, problem) for entry in new if (problem := catalogue.problem(entry))]
    for entry, problem in wrong:
        print(f"{path.name}: {problem}: {entry.msgid!r}")
    return len(wrong)


def read(polib, path):
    """Give a catalogue as it would be written; an editor may have broken its lines elsewhere."""
    return str(polib.pofile(str(path))) if path.exists() else None


def update(exported, check):
    """Write the catalogues, or only look.

    :return: True when all is well
    """
    polib = importlib.import_module("polib")
    sys.path.append(str(ROOT / ADDON / "tests"))
    template = make_template(polib, exported)
    texts, left = {TEMPLATE: str(template)}, 0
    for path in sorted(FOLDER.glob("*.po")):
        old = polib.pofile(str(path))
        new = merge(polib, template, old)
        left += tell(path, old, new)
        texts[path] = str(new)
    changed = [path for path, text in texts.items() if text != read(polib, path)]
    for path in changed:
        say(f"{path.name} {'is out of date: make translations' if check else 'is written'}")
        if not check:
            path.write_text(texts[path])
    say(f"{len(template)} terms, {left} left to translate")
    return not (check and (changed or left))


def main():
    check = "--check" in sys.argv
    if "--exported" in sys.argv:
        return 0 if update(Path(sys.argv[-1]), check) else 1
    os.environ["SERIES"] = SERIES
    odoo, started = setup.prepare()
    try:
        exported = export(odoo)
    finally:
        if started and not os.environ.get("KEEP"):
            TESTS.stop()
    # The environment of Odoo has the library that reads catalogues; this Python need not.
    command = [odoo.python, __file__, *(["--check"] if check else []), "--exported", exported]
    return subprocess.run([str(part) for part in command], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
