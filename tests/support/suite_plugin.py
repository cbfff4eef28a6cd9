"""Which tests share a worker, and what was run and what was not, said at the end."""

from __future__ import annotations

import gc
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

NEEDS = ("remote", "faults", "dft", "training", "slurm", "browser")
"""Markers that say what a test needs."""
NOTHING = "nothing more"
NEEDED, GROUPS = "needs", "groups"
TOGETHER = "slurm"
"""Its tests never run beside another of them: a machine has one Slurm."""
FIRST = ("remote", "faults", TOGETHER, "dft", "training")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what each test needs, and in a worker, of which group it is."""
    for item in items:
        item.user_properties.append((NEEDED, _needs(item)))
    file = getattr(config, "workerinput", {}).get(GROUPS)
    if file:  # the longest groups first, so that none is left for the end
        items.sort(key=_rank)
        from group_scheduling import write_groups

        write_groups({item.nodeid: _group(item) for item in items}, Path(file))


def pytest_collection_finish() -> None:
    """What was imported stays: the collector of garbage need not look through it again."""
    gc.collect()
    gc.freeze()


def _rank(item: pytest.Item) -> int:
    needed = _needs(item)[0]
    return FIRST.index(needed) if needed in FIRST else len(FIRST)


def _group(item: pytest.Item) -> str:
    """That of its file, whose tests share what the file makes once, and of what it needs."""
    if item.get_closest_marker(TOGETHER):
        return TOGETHER
    return f"{item.path.relative_to(item.config.rootpath)} {_needs(item)[0]}"


def _needs(item: pytest.Item) -> list[str]:
    found = [need for need in NEEDS if item.get_closest_marker(need)]
    return found or [NOTHING]


def _needed(report: pytest.TestReport) -> list[str]:
    """What a test needed; a report comes from another process, without its markers."""
    return dict(report.user_properties).get(NEEDED, [NOTHING])


class Tally:
    """Counts what was left out before anything ran; a worker tells it to the process above."""

    def __init__(self) -> None:
        self.deselected: Counter[str] = Counter()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.deselected.update(_needs(item))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        told = getattr(node, "workeroutput", {}).get("deselected")
        if told:  # every worker leaves out the same
            self.deselected = Counter(told)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["deselected"] = dict(self.deselected)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ran: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        reasons: dict[str, list[str]] = {}
        for outcome in ("passed", "failed", "xfailed", "xpassed"):
            for report in terminalreporter.stats.get(outcome, []):
                if report.when == "call" or outcome == "failed":
                    ran.update(_needed(report))
        for report in terminalreporter.stats.get("skipped", []):
            skipped.update(_needed(report))
            reasons.setdefault(_reason(report), []).append(report.nodeid.split("@")[0])
        terminalreporter.section("what ran, by what it needs")
        for need in (*NEEDS, NOTHING):
            if not ran[need] + skipped[need] + self.deselected[need]:
                continue
            terminalreporter.line(
                f"{need:13} {ran[need]:5} run {skipped[need]:5} skipped "
                f"{self.deselected[need]:5} not asked for"
            )
        for reason, tests in sorted(reasons.items()):
            terminalreporter.line(f"skipped: {reason}")
            for test in sorted(tests):
                terminalreporter.line(f"    {test}")


def _reason(report: pytest.TestReport) -> str:
    """Why it was skipped, without where."""
    where = report.longrepr
    text = str(where[2]) if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


class Distribution:
    """Has the workers of pytest-xdist, where there are any, take the tests by groups."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="groups-")
        self._file = Path(self._folder.name) / "groups.json"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[GROUPS] = str(self._file)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        from group_scheduling import GroupScheduling

        return GroupScheduling(config, log, self._file)

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally(), "forcebase-tally")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Distribution(), "forcebase-distribution")
