"""Bring Odoo 17.0 from its makers: the archive of their repository, unpacked into a folder.

``odoo17.py TARGET`` does it by hand.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

# A branch moves: a commit of it, its head in September 2026. The id inside the archive is compared with it.
REVISION = "b4c6b344a7a6cef93db339c56edb4feb5b222435"
SERIES = "17.0"
# The tests put a server of their own in its place.
BASE = os.environ.get("CARTONA_UPSTREAM", "https://github.com/odoo/odoo/archive")
SILENCE = 10  # seconds without a connection, or without the next bytes
CHUNK = 1 << 20
COMMIT_FILE = ".commit"


class Unreachable(Exception):
    """The source cannot be had from here; says why in a few words."""


def ensure(target, base=BASE):
    """Have Odoo's source in a folder.

    :param Path target: made when it is not there
    :return: the folder
    :raise Unreachable: it cannot be had from here; the target is then left as it was
    """
    target = Path(target).absolute()
    if not (target / "odoo" / "release.py").exists():
        bring(target, f"{base}/{REVISION}.tar.gz")
    return target


def bring(target, url):
    """Download and unpack beside the target, and move into place only what is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".odoo17-", dir=target.parent) as made:
        archive, source = Path(made) / "archive", Path(made) / "source"
        download(url, archive)
        commit = commit_of(archive)
        unpack(archive, source)
        check(source, commit)
        (source / COMMIT_FILE).write_text(commit)
        shutil.rmtree(target, ignore_errors=True)
        source.rename(target)
    say(f"Odoo {SERIES} is in {target}: commit {commit}")


def download(url, path):
    """Load a file, and tell how far it is.

    :raise Unreachable: no answer, a refusal, or silence on the way
    """
    say(f"asking for the Odoo {SERIES} source: {url}")
    try:
        with urllib.request.urlopen(url, timeout=SILENCE) as answer, path.open("wb") as file:
            copy(answer, file)
    except urllib.error.HTTPError as error:
        raise Unreachable(f"it answers {error.code}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        ) from error


def copy(answer, file):
    """Copy an answer into a file.

    :raise OSError: it ended before the length it promised
    """
    promised = int(answer.headers.get("Content-Length") or 0)
    done = told = 0
    while chunk := answer.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        if done - told >= 20 * CHUNK:
            told = done
            say(f"{done >> 20} MB{f' of {promised >> 20}' if promised else ' of about 200'}")
    if done < promised:
        raise OSError("the connection broke")


def commit_of(archive):
    """Read the commit id that git writes into the head of an archive.

    :raise Unreachable: it is no archive made by git
    """
    try:
        with gzip.open(archive) as file:
            found = re.search(rb"comment=([0-9a-f]{40})\n", file.read(1024))
    except (OSError, EOFError):
        found = None
    if not found:
        raise Unreachable("what it sends is no source archive")
    return found[1].decode()


def unpack(archive, target):
    target.mkdir()
    say("unpacking it")
    command = ["tar", "-xzf", str(archive), "-C", str(target), "--strip-components=1", "--no-same-owner"]
    if subprocess.run(command, check=False).returncode:
        raise Unreachable("what it sends cannot be unpacked")


def check(source, commit):
    """Compare what came with what was asked for.

    :raise Unreachable: it is something else
    """
    if commit != REVISION:
        raise Unreachable(f"it sends commit {commit}, not {REVISION}")
    release = source / "odoo" / "release.py"
    if not (release.exists() and re.search(r"^version_info = \(17, 0,", release.read_text(), re.M)):
        raise Unreachable(f"what it sends is not Odoo {SERIES}")
    if not (source / "addons" / "sale_stock").is_dir():
        raise Unreachable("what it sends has no addons")


def say(text):
    """Tell progress at once, also into a pipe."""
    print(f"· {text}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        ensure(Path(sys.argv[1]))
    except Unreachable as error:
        raise SystemExit(f"The Odoo {SERIES} source cannot be had from here: {error}") from None
