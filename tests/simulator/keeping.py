"""Keeps the marketplace in a file, so that a demo finds its orders again after a restart.

Kept are accounts with their secrets, listings and orders; not the journal, faults and pushes under way: an
order whose push was cut off waits in the feed. A kill -9 loses at most what happened in the last PAUSE.
"""

import json
import logging
import os
import threading
from pathlib import Path

from flask import request

from .state import Refusal

_logger = logging.getLogger(__name__)

VERSION = 1
PAUSE = 0.5  # seconds between two writings


class Unreadable(Exception):
    """A file that holds something else than it should."""


class Keeper:
    """Writes the state to a file after changes, all of it at once."""

    def __init__(self, app, path):
        self._state, self._path = app.extensions["state"], Path(path)
        self._changed = threading.Event()
        self._writing = threading.Lock()
        app.teardown_request(self._note)  # runs also where a fault cuts the answer off

    def _note(self, _error):
        if request.method != "GET":
            self._changed.set()

    def load(self):
        """Take over what the file holds.

        :return: whether there is one
        :raise Unreadable: it is no state
        """
        if not self._path.exists():
            return False
        try:
            kept = json.loads(self._path.read_bytes())
            if kept["version"] != VERSION:
                raise ValueError("written by another version")
            self._state.restore(kept["state"])
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(
                f"{self._path} holds no marketplace ({error}): remove it to start anew"
            ) from error
        return True

    def save(self):
        """Write the file; a reader sees the old one or the new one."""
        with self._writing:
            self._changed.clear()
            text = json.dumps({"version": VERSION, "state": self._state.dump()}, ensure_ascii=False)
            draft = self._path.with_name(f"{self._path.name}.new")
            # it holds tokens: for its owner only
            with open(draft, "w", encoding="utf-8", opener=_private) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)

    def start(self):
        """Write from now on whenever something changed."""
        threading.Thread(target=self._run, name="keeper", daemon=True).start()

    def _run(self):
        pause = threading.Event()
        while self._changed.wait():
            try:
                self.save()
            except OSError:
                _logger.exception("The marketplace could not be kept; the next change tries again")
            pause.wait(PAUSE)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def seed(app, path):
    """Fill an empty marketplace from a file: a list of accounts as the control API takes them, each also
    with ``listings`` and ``orders`` as it takes those.

    :raise Unreadable: the file, or something of it, is refused
    """
    try:
        accounts = json.loads(Path(path).read_bytes())
        if not isinstance(accounts, list):
            raise TypeError("no list")
        for account in accounts:
            content = {name: account.pop(name, []) for name in ("listings", "orders")}
            _post(app, "accounts", account)
            for name, rows in content.items():
                _post(app, f"accounts/{account['code']}/{name}", rows)
    except (ValueError, AttributeError, TypeError) as error:
        raise Unreadable(f"{path} holds no list of accounts: {error}") from error
    except Refusal as refusal:
        raise Unreadable(f"{path} is refused: {refusal.message}") from refusal


def _post(app, path, body):
    answer = app.test_client().post(f"/_control/{path}", json=body)
    if answer.status_code >= 400:
        raise Refusal(answer.status_code, "seed", f"{path}: {answer.get_json()['error']}")
