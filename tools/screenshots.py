"""Make the pictures of the addon's page from the running demo, in a real browser.

Finds the demo that ``make demo`` runs in another terminal. Drives Chromium by its own debugging protocol, so
that nothing but Chromium is needed.
"""

import base64
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from environment import ADDON, BUILD, ROOT, Missing, say
from server import free_port, wait_for

SIZE = (1366, 768)
TARGET = ROOT / ADDON / "static" / "description"
LOADED_SECONDS = 60
# Lists and charts come in a little after the first row is there.
SETTLE_SECONDS = 1.5
# (picture, whose page, path, what must be there, and pairs: JavaScript to run, what must be there then)
TAB = ".nav-link[name=marketplace]"
PAGES = (
    ("dashboard", "odoo", "{action_marketplace_dashboard}", ".o_action_manager .o_view_controller"),
    ("orders", "odoo", "{action_marketplace_order}", ".o_list_renderer .o_data_row"),
    (
        "order",
        "odoo",
        "{action_marketplace_order}",
        ".o_list_renderer .o_data_row",
        ("document.querySelector('.o_data_row .o_data_cell').click()", f".o_form_view {TAB}"),
        (f"document.querySelector('.o_form_view {TAB}').click()", ".tab-pane.active [name='delivered_by']"),
    ),
    (
        "account",
        "odoo",
        "{action_marketplace_config}",
        ".o_data_row, .o_kanban_record",
        (
            "document.querySelector('.o_data_row .o_data_cell, .o_kanban_record').click()",
            ".o_form_view .o_field_widget",
        ),
    ),
    ("shop", "simulator", "/shop/cartona", "[data-order]"),
)


class Browser:
    """A Chromium with one page, driven over its debugging protocol.

    :raise Missing: there is none
    """

    def __init__(self, folder):
        program = (
            shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
        )
        if not program:
            raise Missing("Chromium", "Run: apt-get install chromium")
        # Of the environment of Odoo's tests; the command that looks for that has none yet.
        websocket = importlib.import_module("websocket")
        port = free_port()
        self.process = subprocess.Popen(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--no-first-run", f"--user-data-dir={folder}",
                f"--remote-debugging-port={port}", f"--remote-allow-origins=http://127.0.0.1:{port}",
                f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        pages = wait_for(lambda: self._pages(port), 30, "Chromium answers")
        self.socket = websocket.create_connection(
            pages[0]["webSocketDebuggerUrl"], timeout=LOADED_SECONDS, origin=f"http://127.0.0.1:{port}"
        )
        self.number = 0
        width, height = SIZE
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    @staticmethod
    def _pages(port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                return [page for page in json.loads(answer.read()) if page["type"] == "page"]
        except OSError:
            return []

    def call(self, method, **parameters):
        """Send a command and give its result.

        :raise AssertionError: the browser refuses it
        """
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def run(self, script):
        """Evaluate JavaScript and give its value; None while the page is on its way to another."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def open(self, url):
        # Two addresses that differ behind the # only are one page to a browser.
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)

    def see(self, selector):
        """Wait until something that can be seen matches."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].some(node => node.offsetParent)"
        wait_for(lambda: self.run(found), LOADED_SECONDS, f"{selector} is to be seen")

    def picture(self, path):
        """Take a picture, without the hints Odoo shows to those who are new."""
        hidden = "'<style>.o_tooltip, .o_tour_pointer { display: none !important }</style>'"
        self.run(f"document.head.insertAdjacentHTML('beforeend', {hidden})")
        time.sleep(SETTLE_SECONDS)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def log_in(browser, odoo):
    """Log in as people do."""
    browser.open(f"{odoo}/web/login")
    browser.see("input[name=login]")
    browser.run(
        "document.querySelector('input[name=login]').value = 'admin';"
        "document.querySelector('input[name=password]').value = 'admin';"
        "document.querySelector('form.oe_login_form').submit()"
    )
    browser.see(".o_main_navbar, .o_navbar")


def address(place, series):
    """Give the path of a page; one in braces is an action of the addon, found where the series has it."""
    if not place.startswith("{"):
        return place
    action = f"{ADDON}.{place.strip('{}')}"
    return f"/web#action={action}" if series < "18" else f"/odoo/action-{action}"


def take(odoo, simulator, series):
    """Take every picture."""
    hosts = {"odoo": odoo, "simulator": simulator}
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        browser = Browser(folder)
        try:
            log_in(browser, odoo)
            for name, host, place, selector, *then in PAGES:
                browser.open(hosts[host] + address(place, series))
                browser.see(selector)
                for script, shown in then:
                    browser.run(script)
                    browser.see(shown)
                browser.picture(TARGET / f"{name}.png")
                say(f"{name}.png")
        finally:
            browser.close()


def running():
    """Find the demo that runs: its series and addresses.

    :raise Missing: none does
    """
    for memory in sorted((BUILD / "demo").glob("*/memory.json")):
        kept = json.loads(memory.read_text())
        if (memory.parent / "odoo.pid").exists():
            return memory.parent.name.partition("-")[0], *(
                f"http://127.0.0.1:{kept[name]}" for name in ("odoo", "simulator")
            )
    raise Missing("a running demo", "Run: make demo, and this in another terminal.")


def main():
    series, odoo, simulator = running()
    python = BUILD / series / "venv" / "bin" / "python"
    if Path(sys.prefix) != python.parent.parent:
        # The environment of Odoo's tests has the web socket library; this Python need not.
        return subprocess.run([str(python), *sys.argv], check=False).returncode
    take(odoo, simulator, series)
    return 0


if __name__ == "__main__":
    sys.exit(main())
