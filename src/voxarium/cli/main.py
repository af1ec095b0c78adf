"""The program ``voxarium``: its commands, and what every command has in common when something goes wrong."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Final, cast

import typer

from voxarium.cli.access import access_app
from voxarium.cli.compare import compare
from voxarium.cli.convert import convert
from voxarium.cli.copy import copy
from voxarium.cli.dataset_describe import dataset_app
from voxarium.cli.digest import digest
from voxarium.cli.info import info
from voxarium.cli.key import key_app
from voxarium.cli.log import log_app
from voxarium.cli.log_proofs import check, prove
from voxarium.cli.portal import portal_app
from voxarium.cli.preview import preview
from voxarium.cli.printing import exit_code, print_error
from voxarium.cli.read import read
from voxarium.cli.release_export import release_app
from voxarium.cli.release_icechunk import icechunk
from voxarium.cli.resample import resample
from voxarium.cli.scene import scene
from voxarium.cli.serve import serve
from voxarium.cli.token import token_app
from voxarium.cli.transform import transform
from voxarium.cli.tree import tree
from voxarium.cli.upgrade import upgrade
from voxarium.cli.validate import rules, validate
from voxarium.cli.verify import manifest, verify
from voxarium.cli.versions import versions
from voxarium.cli.view import link, view
from voxarium.cli.virtualize import virtualize
from voxarium.errors import Code, InputError, InterruptedJobError, VoxariumError

__all__ = ["app", "main"]

# typer keeps its own copy of click since 0.26, and the real one before: this names the right class in both.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__mro__[1])

_INTERRUPTED: Final = 130  # how typer reports Ctrl-C

app = typer.Typer(
    name="voxarium",
    help="Read, convert and look at images that have outgrown one file, one format and one machine.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    info, tree, convert, resample, preview, read, digest, compare, scene, transform, upgrade, validate, rules,
    virtualize, serve, view, link, copy, manifest, verify, versions,
):  # fmt: skip
    app.command()(_command)
release_app.command()(icechunk)
log_app.command()(prove)
log_app.command()(check)
for _group in (dataset_app, release_app, portal_app, log_app, key_app, token_app, access_app):
    app.add_typer(_group)


def _print_version(value: bool) -> None:
    if value:
        from voxarium import __version__

        typer.echo(f"voxarium {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0 done, 1 failed, 2 wrong arguments.

    Parameters
    ----------
    args : sequence of str or None
        Arguments without the program's name; None = those of the process.
    """
    given = sys.argv[1:] if args is None else list(args)
    as_json = "--json" in given
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "×" on a terminal that lacks it is no reason to fail
    # What other packages log about damaged files would stand around our own error, which says it in one line.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        result = app(args=given, prog_name="voxarium", standalone_mode=False)
    except VoxariumError as error:
        print_error(error, as_json=as_json)
        return exit_code(error)
    except _UsageError as error:
        print_error(_usage(error), as_json=as_json)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        result = _INTERRUPTED
    if result == _INTERRUPTED:
        stopped = InterruptedJobError("stopped", code=Code.JOB_INTERRUPTED, fix="run the command again")
        print_error(stopped, as_json=as_json)
        return 1
    return result if isinstance(result, int) else 0


def _usage(error: BaseException) -> InputError:
    """Return what typer says about wrong arguments as one of our errors."""
    context = getattr(error, "ctx", None)
    command = "voxarium" if context is None else context.command_path
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    return InputError(message.rstrip("."), code=Code.ARGUMENT_INVALID, fix=f"see {command} --help")
