"""Run the tests in four stages and sum up: without Odoo, inside it, a server that is killed, one at work.

They run at the same time: the last mostly waits for clocks and answers. It has the terminal; what the others
say follows when they end.

``STAGE=unit|addon|kills|system`` runs one of them, ``ARGS='-k word'`` goes to pytest, ``KEEP=1`` leaves
PostgreSQL running. A skipped test, an empty stage or one that could not run fails the whole run.

Beside them, and only when asked for: ``STAGE=operations`` (the addon is installed, upgraded, uninstalled, its
database copied, manufacturing installed beside it: minutes), ``STAGE=faults`` (whatever can go wrong,
minutes), ``STAGE=soak`` (the same with larger numbers, hours), ``STAGE=bench`` (figures). ``SEED=n`` chooses
another course of the faults.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import databases
import environment
import setup
from environment import ADDON, ROOT
from postgres import TESTS

WHOLE_SYSTEM = "system"
# What the fault tests take when there is time; each may be set in the environment.
SOAK = {
    "FAULTS_ROUNDS": 500,
    "FAULTS_BODIES": 100_000,
    "FAULTS_LIVES": 5_000,
    "FAULTS_KILLS": 500,
    "FAULTS_EVENTS": 20_000,
    "FAULTS_PRODUCTS": 1_000,
    "FAULTS_CHANGES": 100_000,
    "FAULTS_BULK": 30,
    "FAULTS_CYCLES": 2_000,
    "FAULTS_ORDER_LIVES": 10_000,
    "FAULTS_ORDERS_AT_ONCE": 400,
}


@dataclass
class Result:
    """What a stage came to; ``counts`` is empty for one that could not run."""

    stage: str
    seconds: float
    counts: dict
    code: int

    @property
    def is_good(self):
        wanted = self.counts.get("tests") and not any(
            self.counts[name] for name in ("failures", "errors", "skipped")
        )
        return bool(wanted) and self.code == 0

    def __str__(self):
        if not self.counts:
            return f"  {self.stage:10} COULD NOT RUN (exit code {self.code})"
        passed = self.counts["tests"] - sum(self.counts[name] for name in ("failures", "errors", "skipped"))
        return (
            f"  {self.stage:10} {'ok  ' if self.is_good else 'FAIL'} {passed} passed, "
            f"{self.counts['failures']} failed, {self.counts['errors']} errors, "
            f"{self.counts['skipped']} skipped, {self.seconds:.0f} s"
        )


class Run:
    """A stage under way: pytest in a process of its own.

    :param arguments: pytest's
    :param Path output: where its words go; None for the terminal
    """

    def __init__(self, odoo, stage, *arguments, output=None, **env):
        self.stage, self.output, self.started = stage, output, time.monotonic()
        self.report = odoo.build / f"report-{stage}.xml"
        self.report.unlink(missing_ok=True)
        command = [odoo.python, "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--junitxml={self.report}"]
        command += [*arguments, *shlex.split(os.environ.get("ARGS", ""))]
        words = output and output.open("wb")
        # What the terminal shows takes the longest and measures times: the others make way for it.
        command = ["nice", "-n", "10", *command] if output else command
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=odoo.environment(**env), stdout=words, stderr=words
        )

    def wait(self):
        """Wait for its end, show what it said elsewhere, and give the Result."""
        code = self.process.wait()
        if self.output:
            print(self.output.read_text(errors="replace"))
        return Result(self.stage, self.seconds(), read_counts(self.report), code)

    def seconds(self):
        """Give how long it took; pytest's report was written at its end."""
        if not self.report.exists():
            return 0
        return self.report.stat().st_mtime - time.time() + time.monotonic() - self.started

    def end(self):
        """End it if it still runs; it cleans up after itself."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def read_counts(report):
    """Read pytest's counts; {} when it did not come to writing them."""
    if not report.exists():
        return {}
    suite = ElementTree.parse(report).getroot().find("testsuite")
    return {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}


def unit(odoo, output):
    """Dialects, tools and simulator: no Odoo, no database."""
    return Run(odoo, "unit", "-p", "no:odoo", "tests/unit", output=output)


def addon(odoo, output):
    """The addon's own tests, inside Odoo."""
    name = f"test_{odoo.series.replace('.', '_')}"
    databases.copy(odoo, databases.make_addon_template(odoo), name)
    conf = databases.config(odoo)
    return Run(
        odoo, "addon", f"--odoo-config={conf}", f"--odoo-database={name}", "--odoo-http",
        "--odoo-log-level=error", odoo.addons / ADDON / "tests", output=output,
        MARKETPLACE_ALLOW_PRIVATE_TARGETS="1", **TESTS.environment(),
    )  # fmt: skip


def on_a_server(odoo, stage, output, *folders, **env):
    """Run tests that bring up an Odoo of their own: prefork, with a job runner, beside the simulator."""
    template = databases.make_addon_template(odoo)
    return Run(
        odoo, stage, "-p", "no:odoo", *folders, output=output,
        HARNESS_STAGE=stage, HARNESS_SERIES=odoo.series, HARNESS_SOURCE=str(odoo.source),
        HARNESS_TEMPLATE=template, **TESTS.environment(), **env,
    )  # fmt: skip


def kills(odoo, output):
    """Processes of a server at work are killed."""
    return on_a_server(odoo, "kills", output, "tests/kills")


def operations(odoo, output):
    """What administrators do: install, upgrade, uninstall, copy."""
    return on_a_server(odoo, "operations", output, "tests/operations")


def system(odoo, output):
    """Whole-system tests."""
    return on_a_server(odoo, WHOLE_SYSTEM, output, "tests/system")


def faults(odoo, output):
    """Whatever can go wrong goes wrong, at random."""
    return on_a_server(odoo, "faults", output, "tests/faults")


def soak(odoo, output):
    """The fault tests for hours, growth, and whether the tests notice planted bugs."""
    sizes = {name: os.environ.get(name, str(value)) for name, value in SOAK.items()}
    return on_a_server(odoo, "soak", output, "tests/faults", "tests/soak", **sizes)


def bench(odoo, output):
    """Figures, as ratios of things measured in the same run."""
    return on_a_server(odoo, "bench", output, "tests/bench")


STAGES = {"unit": unit, "addon": addon, "kills": kills, WHOLE_SYSTEM: system}
ON_REQUEST = {"operations": operations, "faults": faults, "soak": soak, "bench": bench}


def run(odoo, stages):
    """Run stages at the same time, the last one on the terminal.

    :return: their Results
    """
    runs = []
    try:
        for stage in stages:
            output = None if stage is stages[-1] else odoo.build / f"output-{stage.__name__}.txt"
            runs.append(stage(odoo, output))
        runs[-1].process.wait()
        return [run.wait() for run in runs]
    finally:
        for run in runs:
            run.end()


def main():
    wanted = [os.environ["STAGE"]] if os.environ.get("STAGE") else list(STAGES)
    if addon.__name__ in wanted:
        environment.ensure_browser()
    # What an acknowledgement takes includes its way to the disk; all other data is thrown away.
    TESTS.durable = bench.__name__ in wanted
    odoo, started = setup.prepare()
    begun = time.monotonic()
    try:
        results = run(odoo, [(STAGES | ON_REQUEST)[stage] for stage in wanted])
    finally:
        if started and not os.environ.get("KEEP"):
            TESTS.stop()
    good = all(result.is_good for result in results)
    summary = "\n".join(str(result) for result in results)
    verdict = "OK" if good else "FAILED"
    print(
        f"\nOdoo {odoo.series} ({odoo.why})\n{summary}\n"
        f"  together {time.monotonic() - begun:.0f} s: {verdict}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        environment.say("stopped")
        sys.exit(130)
