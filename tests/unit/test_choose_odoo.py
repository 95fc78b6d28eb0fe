"""Which Odoo runs: what is given, what is cached, what its makers send, else Debian's."""

import io
import random
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import environment
import odoo17
import odoo19
import pytest
import server

RELEASE = "version_info = ({}, 0, 0, FINAL, 0, '')\n"


def archive(series=17, commit=odoo17.REVISION, addons=True):
    """Make a source archive as its makers send it."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit}
    ) as tar:
        noise = random.Random(series).randbytes(50_000).hex()
        files = {"odoo/release.py": RELEASE.format(series), "noise": noise}
        if addons:
            files["addons/sale_stock/__manifest__.py"] = "{}"
        for name, text in files.items():
            member = tarfile.TarInfo(f"odoo-17.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Upstream(ThreadingHTTPServer):
    """Stands in for the makers' server: each path has (status, body, promised length)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []
        self.base = f"http://127.0.0.1:{self.server_port}"

    def send(self, body, status=200, promised=None):
        self.answers[f"/{odoo17.REVISION}.tar.gz"] = (
            status,
            body,
            len(body) if promised is None else promised,
        )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, body, promised = self.server.answers.get(self.path, (404, b"", 0))
        self.send_response(status)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Keep the tests' output clean."""


@pytest.fixture
def upstream():
    makers = Upstream()
    threading.Thread(target=makers.serve_forever, args=(0.01,), daemon=True).start()
    yield makers
    makers.shutdown()
    makers.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch, upstream):
    """An empty cache folder, the stand-in for the makers, and a Debian that always has Odoo 19."""
    for name in ("SERIES", "ODOO_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "CACHE", tmp_path / "cache")
    ensure = odoo17.ensure
    monkeypatch.setattr(odoo17, "ensure", lambda target: ensure(target, base=upstream.base))
    monkeypatch.setattr(odoo19, "ensure", lambda target: target / "packages")
    return tmp_path / "cache"


def make_source(folder, series=17):
    (folder / "odoo").mkdir(parents=True)
    (folder / "odoo" / "release.py").write_text(RELEASE.format(series))
    return folder


def test_a_source_named_by_the_user_wins(cache, tmp_path, monkeypatch, upstream):
    make_source(cache / "odoo-17.0")
    monkeypatch.setenv("ODOO_SOURCE", str(make_source(tmp_path / "mine")))
    odoo = environment.choose_odoo()
    assert (odoo.series, odoo.source, odoo.why) == ("17.0", tmp_path / "mine", "named by ODOO_SOURCE")
    assert not upstream.asked


def test_a_cached_source_is_taken_without_asking_anybody(cache, upstream):
    make_source(cache / "odoo-17.0")
    assert environment.choose_odoo().source == cache / "odoo-17.0"
    assert not upstream.asked


def test_the_makers_archive_is_brought_once(cache, upstream):
    upstream.send(archive())
    first, second = environment.choose_odoo(), environment.choose_odoo()
    assert (first.series, first.source) == (second.series, second.source) == ("17.0", cache / "odoo-17.0")
    assert (cache / "odoo-17.0" / odoo17.COMMIT_FILE).read_text() == odoo17.REVISION
    assert len(upstream.asked) == 1


def test_a_clone_has_addons_in_two_folders(cache, upstream):
    upstream.send(archive())
    odoo = environment.choose_odoo()
    assert str(odoo.source / "addons") in odoo.addons_path.split(",")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"body": b"", "status": 503}, "it answers 503"),
        ({"body": archive()[:-100], "promised": len(archive())}, "the connection broke"),
        ({"body": archive()[:40_000]}, "what it sends cannot be unpacked"),
        ({"body": b"<html>please log in</html>"}, "what it sends is no source archive"),
        ({"body": archive(series=18)}, "what it sends is not Odoo 17.0"),
        ({"body": archive(addons=False)}, "what it sends has no addons"),
    ],
)
def test_whatever_is_wrong_with_the_archive_odoo_19_runs_and_says_why(cache, upstream, broken, reason):
    upstream.send(**broken)
    odoo = environment.choose_odoo()
    assert odoo.series == "19.0"
    assert odoo.why == f"the 17.0 source cannot be reached from here ({reason}); SERIES=17.0 tries again"
    assert [path.name for path in cache.iterdir()] == ["odoo-17.0.unreachable"], "nothing half-made is left"


def test_no_connection_is_odoo_19_too(cache, monkeypatch):
    url = f"http://127.0.0.1:{server.free_port()}/17.0.tar.gz"
    monkeypatch.setattr(odoo17, "ensure", lambda target: odoo17.bring(target, url))
    assert "Connection refused" in environment.choose_odoo().why


def test_what_could_not_be_reached_is_not_asked_at_each_start(cache, upstream):
    environment.choose_odoo()
    assert environment.choose_odoo().why.startswith(
        "the 17.0 source cannot be reached from here (it answers 404)"
    )
    assert len(upstream.asked) == 1


def test_series_17_asks_again_and_then_needs_no_asking(cache, upstream, monkeypatch):
    environment.choose_odoo()
    upstream.send(archive())
    monkeypatch.setenv("SERIES", "17.0")
    assert environment.choose_odoo().series == "17.0"
    monkeypatch.delenv("SERIES")
    assert environment.choose_odoo().why == "found in the cache folder"


def test_series_17_that_cannot_be_had_is_told_with_what_to_do(cache, monkeypatch):
    monkeypatch.setenv("SERIES", "17.0")
    with pytest.raises(
        SystemExit, match=r"MISSING: the Odoo 17.0 source \(it answers 404\). Set ODOO_SOURCE"
    ):
        environment.choose_odoo()


def test_series_19_asks_nobody_for_17(cache, upstream, monkeypatch):
    make_source(cache / "odoo-17.0")
    monkeypatch.setenv("SERIES", "19.0")
    assert environment.choose_odoo().why == "asked for by SERIES"
    assert not upstream.asked


def test_a_series_nobody_knows_is_told(cache, monkeypatch):
    monkeypatch.setenv("SERIES", "16.0")
    with pytest.raises(SystemExit, match="Set SERIES to 17.0 or 19.0"):
        environment.choose_odoo()


def test_the_pinned_commit_is_compared_with_the_archive(tmp_path, upstream):
    other = "deadbeef" * 5
    upstream.send(archive(commit=other))
    with pytest.raises(odoo17.Unreachable, match=f"it sends commit {other}, not {odoo17.REVISION}"):
        odoo17.ensure(tmp_path / "odoo", upstream.base)
    assert not (tmp_path / "odoo").exists()


def test_without_a_browser_an_ordinary_user_is_told_the_command(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(environment.Missing, match="apt-get install chromium"):
        environment.ensure_browser()
