"""Progress is shown when it helps: on terminals as a bar, elsewhere a line now and then, never for short jobs."""

from __future__ import annotations

import io
import re

import pytest

from voxarium.cli import progress as module
from voxarium.cli.summary import duration_text
from voxarium.conversion.engine import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def drive(clock, stream, monkeypatch, *, seconds, silent=False):
    """Report a job of 10 blocks that takes so many seconds; return what was shown."""
    monkeypatch.setattr("sys.stderr", stream)
    with module.ConversionProgress(silent=silent) as shown:
        for i in range(1, 11):
            clock[0] += seconds / 10
            shown.update(Progress(voxels=i * 10**8, total=10**9, objects=i, written=i * 10**7))
    return stream.getvalue()


def test_short_jobs_show_nothing(clock, monkeypatch):
    assert drive(clock, Terminal(), monkeypatch, seconds=0.9) == ""
    assert drive(clock, io.StringIO(), monkeypatch, seconds=0.9) == ""


def test_silent_jobs_show_nothing(clock, monkeypatch):
    assert drive(clock, Terminal(), monkeypatch, seconds=500, silent=True) == ""


def test_logs_get_a_line_now_and_then(clock, monkeypatch):
    lines = drive(clock, io.StringIO(), monkeypatch, seconds=100).splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["30%", "10", "MVx/s,", "30.0", "MB", "written,", "70", "s", "left"]


def test_terminals_get_a_bar_with_rate_bytes_and_time_left(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drive(clock, Terminal(), monkeypatch, seconds=100))
    assert "%" in shown and "MVx/s" in shown and "written" in shown and "left" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.01 s"), (0.4221, "0.42 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (360000, "100 h 0 min")],
)
def test_durations_read_well(seconds, text):
    assert duration_text(seconds) == text
