"""How far a job is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from voxarium.archive.manifests import HashingProgress
    from voxarium.conversion.engine import Progress
    from voxarium.conversion.upgrading import UpgradeProgress
    from voxarium.core.digesting import DigestProgress
    from voxarium.validation.running import ValidationProgress

__all__ = ["ConversionProgress", "DigestDisplay", "HashingDisplay", "UpgradeDisplay", "ValidationDisplay"]

_FIRST: Final = 1.0  # seconds; shorter jobs show nothing
_REDRAW: Final = 0.1
_LINE_EVERY: Final = 30.0


_P = TypeVar("_P")


class _Display(ABC, Generic[_P]):
    """Shows how far a job is while it is entered: nothing for short ones.

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

    def update(self, progress: _P) -> None:
        """Take note of how far the job is; called after every step."""
        now = time.monotonic()
        seconds = now - self._started
        if self._silent or seconds < _FIRST:
            return
        if not self._terminal:
            if now - self._shown >= _LINE_EVERY:
                self._shown = now
                sys.stderr.write(self.line(progress, seconds) + "\n")
                sys.stderr.flush()
            return
        if self._bar is None:
            self._open()
        if now - self._shown >= _REDRAW or self.ended(progress):
            self._shown = now
            self._bar.update(self._task, **self.values(progress, seconds))

    def _open(self) -> None:
        from rich.progress import Progress as Bar

        from voxarium.cli.printing import stderr_console

        self._bar = Bar(*self.columns(), console=stderr_console(), transient=True)
        self._task = self._bar.add_task("", total=None, state="")
        self._bar.start()

    @abstractmethod
    def columns(self) -> tuple[Any, ...]:  # Any: columns of rich
        """Return what stands in a row of the bar."""

    @abstractmethod
    def values(self, progress: _P, seconds: float) -> dict[str, Any]:
        """Return what the bar shows now."""

    @abstractmethod
    def line(self, progress: _P, seconds: float) -> str:
        """Return a line for a log."""

    @abstractmethod
    def ended(self, progress: _P) -> bool:
        """Tell whether nothing is left to do."""


class ConversionProgress(_Display["Progress"]):
    """Shows a conversion's progress while it is entered."""

    @override
    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        return (
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )

    @override
    def values(self, progress: Progress, seconds: float) -> dict[str, Any]:
        return {"completed": progress.voxels, "total": progress.total, "state": _state(progress, seconds)}

    @override
    def line(self, progress: Progress, seconds: float) -> str:
        return _line(progress, seconds)

    @override
    def ended(self, progress: Progress) -> bool:
        return progress.voxels == progress.total


class DigestDisplay(_Display["DigestProgress"]):
    """Shows how much of an image is digested while it is entered."""

    @override
    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        return (
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )

    @override
    def values(self, progress: DigestProgress, seconds: float) -> dict[str, Any]:
        return {"completed": progress.voxels, "total": progress.total, "state": self._rate(progress, seconds)}

    @override
    def line(self, progress: DigestProgress, seconds: float) -> str:
        return f"{progress.voxels / max(progress.total, 1):4.0%}  {self._rate(progress, seconds)}"

    @override
    def ended(self, progress: DigestProgress) -> bool:
        return progress.voxels == progress.total

    def _rate(self, progress: DigestProgress, seconds: float) -> str:
        from voxarium.cli.summary import rate_text

        return rate_text(progress.voxels / seconds / 1e6)


class UpgradeDisplay(_Display["UpgradeProgress"]):
    """Shows an upgrade's progress while it is entered."""

    @override
    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        return (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))

    @override
    def values(self, progress: UpgradeProgress, seconds: float) -> dict[str, Any]:
        return {"description": progress.phase, "completed": progress.done, "total": progress.total or None}

    @override
    def line(self, progress: UpgradeProgress, seconds: float) -> str:
        of = f" of {progress.total:,}" if progress.total else ""
        return f"{progress.phase}: {progress.done:,}{of}"

    @override
    def ended(self, progress: UpgradeProgress) -> bool:
        return progress.done == progress.total


class HashingDisplay(_Display["HashingProgress"]):
    """Shows how many objects were read while it is entered."""

    @override
    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        state = TextColumn("{task.fields[state]}")
        return (BarColumn(), TaskProgressColumn(), state, TimeRemainingColumn(compact=True), TextColumn("left"))

    @override
    def values(self, progress: HashingProgress, seconds: float) -> dict[str, Any]:
        state = f"{progress.nbytes / seconds / 1e9:.2f} GB/s, {progress.objects:,} objects"
        return {"completed": progress.nbytes, "total": progress.total_bytes, "state": state}

    @override
    def line(self, progress: HashingProgress, seconds: float) -> str:
        share = progress.nbytes / max(progress.total_bytes, 1)
        return f"{share:4.0%}  {progress.objects:,} of {progress.total_objects:,} objects"

    @override
    def ended(self, progress: HashingProgress) -> bool:
        return progress.objects == progress.total_objects


class ValidationDisplay(_Display["ValidationProgress"]):
    """Shows a validation's progress while it is entered."""

    @override
    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        state = TextColumn("{task.fields[state]}")
        return (TextColumn("{task.description}"), BarColumn(), state, TimeRemainingColumn(compact=True))

    @override
    def values(self, progress: ValidationProgress, seconds: float) -> dict[str, Any]:
        done, total = progress.done, progress.total or None
        return {"description": progress.stage, "completed": done, "total": total, "state": _count(progress)}

    @override
    def line(self, progress: ValidationProgress, seconds: float) -> str:
        return f"{progress.stage}: {_count(progress)}, {progress.what}"

    @override
    def ended(self, progress: ValidationProgress) -> bool:
        return progress.total > 0 and progress.done == progress.total


def _count(progress: ValidationProgress) -> str:
    of = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.done:,}{of} {progress.unit}".strip()


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
