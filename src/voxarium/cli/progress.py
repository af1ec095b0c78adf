"""How far a conversion is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from voxarium.conversion.engine import Progress

__all__ = ["ConversionProgress"]

_FIRST: Final = 1.0  # seconds; shorter jobs show nothing
_REDRAW: Final = 0.1
_LINE_EVERY: Final = 30.0


class ConversionProgress:
    """Shows a conversion's progress while it is entered.

    Parameters
    ----------
    silent : bool
        Show nothing.
    """

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()
        self._bar: Any = None  # Any: rich.progress.Progress, which is imported when it is needed
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Take note of how far the job is; called after every block."""
        now = time.monotonic()
        if self._silent or now - self._started < _FIRST:
            return
        if not self._terminal:
            if now - self._shown >= _LINE_EVERY:
                self._shown = now
                sys.stderr.write(_line(progress, now - self._started) + "\n")
                sys.stderr.flush()
            return
        if self._bar is None:
            self._open(progress.total)
        if now - self._shown >= _REDRAW or progress.voxels == progress.total:
            self._shown = now
            self._bar.update(self._task, completed=progress.voxels, state=_state(progress, now - self._started))

    def _open(self, total: int) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from voxarium.cli.printing import stderr_console

        self._bar = Bar(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=stderr_console(),
            transient=True,
        )
        self._task = self._bar.add_task("converting", total=total, state="")
        self._bar.start()


def _state(progress: Progress, seconds: float) -> str:
    """Return rate and bytes for people."""
    from voxarium.cli.summary import rate_text
    from voxarium.core.report import bytes_text

    return f"{rate_text(progress.voxels / seconds / 1e6)}, {bytes_text(progress.written)} written"


def _line(progress: Progress, seconds: float) -> str:
    """Return a line for a log."""
    share = progress.voxels / max(progress.total, 1)
    left = seconds / share - seconds if share else 0.0
    return f"{share:4.0%}  {_state(progress, seconds)}, {left:,.0f} s left"
