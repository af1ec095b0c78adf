"""Where output goes: results to stdout, everything else to stderr; as JSON or for people."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from voxarium.errors import Code, InputError, VoxariumError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "error_json",
    "exit_code",
    "note",
    "print_error",
    "print_json",
    "printable",
    "say",
    "stderr_console",
    "stdout_console",
]

_PLAIN_WIDTH: Final = 160  # columns of tables that no terminal shows
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def exit_code(error: VoxariumError) -> int:
    """Return 2 for arguments that cannot be used, 1 for everything else."""
    return 2 if isinstance(error, InputError) else 1


def error_json(error: VoxariumError) -> dict[str, str]:
    """Return an error as a JSON document."""
    return {"code": str(error.code), "message": error.message, "fix": error.fix}


def print_error(error: VoxariumError, *, as_json: bool) -> None:
    """Print an error: one line for what is wrong, one for what to do."""
    if as_json:
        incomplete = {"complete": False} if error.code == Code.IMAGE_INCOMPLETE else {}
        print_json({**incomplete, "error": error_json(error)})
        return
    note("error", error.message, "bold red")
    note("fix", error.fix, "bold green")


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def say(text: str) -> None:
    """Print lines to stdout."""
    sys.stdout.write("\n".join(printable(line) for line in text.split("\n")) + "\n")


def printable(text: str) -> str:
    r"""Return text without control characters: names come from files, and files may be hostile to terminals.

    Examples
    --------
    >>> printable("em\x1b[2J") == "em\ufffd[2J"
    True
    """
    return _CONTROLS.sub("\ufffd", text)


def note(kind: str, text: str, style: str) -> None:
    """Print a line to stderr that begins with its kind, coloured on a terminal."""
    text = printable(text)
    if not sys.stderr.isatty():
        sys.stderr.write(f"{kind}: {text}\n")
        return
    from rich.text import Text

    stderr_console().print(Text.assemble((f"{kind}:", style), " ", text), soft_wrap=True)


def stdout_console() -> Console:
    """Return a console for results; wide when no terminal limits it."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def stderr_console() -> Console:
    """Return a console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
