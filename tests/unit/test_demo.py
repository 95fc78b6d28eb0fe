"""What the demo remembers, repeats and takes away; its servers themselves are tried by hand."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import demo
import demo_data
import environment
import odoo19
import pytest
from processes import Service

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The demo's folder, empty and somewhere else."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    monkeypatch.setattr(demo, "RUNNER", Service("demo", tmp_path))
    return tmp_path


@pytest.fixture
def shop(folder):
    return demo.Demo(SimpleNamespace(series="17.0", python=sys.executable), demo.OWN)


def test_tokens_are_of_this_installation_and_for_its_user_only(shop):
    kept = shop.recall()
    assert kept["tokens"] != shop.recall()["tokens"], "they are random"
    assert len({token for account in kept["tokens"].values() for token in account.values()}) == 4
    shop.keep(kept)
    assert shop.recall() == kept
    assert stat.S_IMODE(shop.memory.stat().st_mode) == 0o600


def test_a_demo_on_a_given_postgresql_forgets_nothing_of_the_own_one(folder, shop):
    shop.keep(shop.recall())
    other = demo.Demo(shop.odoo, demo.Given())
    assert other.folder != shop.folder
    assert other.database == shop.database == "cartona_demo_17_0"


def test_code_that_changed_is_noticed_tests_that_changed_are_not(tmp_path):
    for name in ("models/a.py", "tests/test_a.py", "models/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = demo.digest_of(tmp_path)
    for name in ("tests/test_a.py", "models/__pycache__/a.pyc"):
        (tmp_path / name).write_text("2")
    assert demo.digest_of(tmp_path) == before
    (tmp_path / "models" / "a.py").write_text("2")
    assert demo.digest_of(tmp_path) != before


def test_only_one_demo_runs_in_a_folder(folder):
    with demo.only_one():
        assert demo.RUNNER.pid() == os.getpid()
        with pytest.raises(SystemExit, match="runs already"), demo.only_one():
            pass
    assert not demo.RUNNER.file.exists()


def test_what_a_killed_demo_left_is_ended_and_nothing_else(folder):
    (folder / "17.0").mkdir()
    left, other = Service("odoo", folder / "17.0"), subprocess.Popen(SLEEP)
    try:
        left.start(SLEEP)
        (folder / "17.0" / "simulator.pid").write_text(json.dumps({"pid": other.pid, "identity": "before"}))
        assert demo.end_services() == ["odoo"]
        assert left.process.wait(5) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_the_guide_names_addresses_logins_and_what_to_try(shop, capsys):
    shop.odoo.why = "found in the cache folder"
    shop.simulator.url = "http://127.0.0.1:8070"
    demo.guide(shop, shop.recall())
    text = capsys.readouterr().out
    assert "Odoo 17.0: found in the cache folder" in text
    assert "http://127.0.0.1:8069/web/login" in text
    assert "http://127.0.0.1:8070/shop/cartona" in text
    assert "login admin, password admin" in text
    assert demo_data.WITHOUT_KEY in text


def test_what_ended_by_itself_is_told(folder, monkeypatch, capsys):
    def start():
        raise demo.Ended("odoo has ended by itself: see odoo.log")

    monkeypatch.setattr(demo, "start", start)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert demo.main([]) == 1
    assert "odoo has ended by itself" in capsys.readouterr().out


@pytest.fixture
def python_without_pip(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "BUILD", tmp_path / "build")
    refused = SimpleNamespace(returncode=1)
    monkeypatch.setattr(environment.subprocess, "run", lambda *_args, **_options: refused)
    return [sys.executable, "-m", "pip"]


def test_pip_is_taken_from_debian_where_python_has_none(python_without_pip, monkeypatch):
    def unpack(_dpkg, _x, package, root):
        (Path(root) / "usr/share/python-wheels").mkdir(parents=True)
        (Path(root) / "usr/share/python-wheels" / f"{package}.whl").touch()

    monkeypatch.setattr(odoo19, "has_apt", lambda: True)
    monkeypatch.setattr(odoo19, "download", lambda folder, packages: ["pip-23"])
    monkeypatch.setattr(environment, "run", unpack)
    [python, program] = environment.pip()
    assert python == sys.executable
    assert program.parts[-2:] == ("pip-23.whl", "pip")


def test_without_pip_and_without_debian_python_has_to_say_it(python_without_pip, monkeypatch):
    monkeypatch.setattr(odoo19, "has_apt", lambda: False)
    assert environment.pip() == python_without_pip
