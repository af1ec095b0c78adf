"""``voxarium serve``: images over HTTP."""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import say

if TYPE_CHECKING:
    from voxarium.serve.catalogue import Entry
    from voxarium.serve.site import Site

__all__ = ["serve"]

_MOST_LINES: Final = 30
_FRESH: Final = 3600.0  # seconds: the first look, which the server begins by itself, is meant
_LIMITS: Final = "Limits"
_WHO: Final = "Who may see what"


def serve(
    roots: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]URI…",
            help="Folders, images or places in other stores; a name in front is used in addresses.",
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes any free one.")] = 0,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the server for others, behind a proxy.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Never write anything; always so.")] = True,
    access_log: Annotated[
        str | None, typer.Option(metavar="FILE", help="Note requests, as JSON lines; - for the error stream.")
    ] = None,
    max_age: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="How long clients may keep objects without asking again.")
    ] = 0,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Site whose pages may read; all if not given.", rich_help_panel=_LIMITS),
    ] = None,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Serve names that begin with a dot.", rich_help_panel=_LIMITS)
    ] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links that lead elsewhere.", rich_help_panel=_LIMITS)
    ] = False,
    max_requests: Annotated[
        int, typer.Option(min=1, metavar="N", help="Requests answered at a time.", rich_help_panel=_LIMITS)
    ] = 1024,
    private: Annotated[
        bool,
        typer.Option("--private", help="Show datasets only to those who were given a token.", rich_help_panel=_WHO),
    ] = False,
    access: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Which datasets are public, and what users may.", rich_help_panel=_WHO),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Tokens, sessions, saved states: SQLite or PostgreSQL; also VOXARIUM_DATABASE.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    audit_log: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Who did what, as JSON lines too; - for stderr.", rich_help_panel=_WHO),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0, metavar="N", help="Requests a second for each client.", rich_help_panel=_LIMITS)
    ] = 0,
    rate_megabytes: Annotated[
        float, typer.Option(min=0, metavar="MB", help="Megabytes a second for each client.", rich_help_panel=_LIMITS)
    ] = 0,
    max_cutout: Annotated[
        int, typer.Option(min=1, metavar="MiB", help="Voxels of one request.", rich_help_panel=_LIMITS)
    ] = 256,
    proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Proxy in front, which says where clients are.", rich_help_panel=_LIMITS),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Processes that answer.")] = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Serve images to viewers, scripts and browsers, until it is stopped with Ctrl-C."""
    from voxarium.serve.access_log import AccessLog
    from voxarium.serve.index_page import image_json
    from voxarium.serve.running import bound, run, url_of
    from voxarium.serve.site import Settings, open_site
    from voxarium.serve.workers import Work, run_workers

    del read_only
    settings = Settings(
        max_age=max_age,
        origins=tuple(origin or ("*",)),
        hidden=hidden,
        follow=follow_links,
        url=url,
        most_requests=max_requests,
        most_cutout=max_cutout << 20,
        private=private,
        access=access,
        database=database,
        audit_log=audit_log,
        rate=rate,
        rate_bytes=rate_megabytes * 1e6,
        proxies=tuple(proxy or ()),
    )
    site = open_site(roots, settings)
    log = None if access_log is None else AccessLog(access_log)
    logging.getLogger("voxarium.serve").addHandler(logging.StreamHandler(sys.stderr))
    listening = bound(host, port)
    address = url or url_of(listening)

    def ready() -> None:
        if as_json:
            scan = site.catalogue.scan(_FRESH)
            images = [image_json(entry, address) for entry in scan.entries]
            sys.stdout.write(json.dumps({"url": address, "roots": list(site.catalogue.roots), "images": images}) + "\n")
            sys.stdout.flush()
        elif not quiet:
            say(f"{address}  serves {', '.join(site.catalogue.roots)}; the page there has the URLs of every image")
            if private:
                say("  datasets are private: voxarium token create NAME --may 'read:*' makes a token to see them")
            sys.stdout.flush()
            threading.Thread(target=_say_images, args=(site, address), daemon=True).start()

    with listening:
        if workers == 1:
            run(site, listening, access_log=log, ready=ready)
        else:
            run_workers(Work(uris=tuple(roots), settings=settings, access_log=access_log), listening, workers, ready)


def _say_images(site: Site, address: str) -> None:
    """Print what is found, when it is; a long list is on the page."""
    from voxarium.serve.snippets import raw_url

    entries = site.catalogue.scan(_FRESH).entries
    for entry in entries[:_MOST_LINES]:
        say(f"  {raw_url(address, entry.address)}  {entry.problem or _facts(entry)}")
    if len(entries) > _MOST_LINES:
        say(f"  and {len(entries) - _MOST_LINES:,} more")
    sys.stdout.flush()


def _facts(entry: Entry) -> str:
    image = entry.image
    if image is None:
        return entry.kind
    return f"{image.info.format}, {image.dtype.name} {' × '.join(f'{n:,}' for n in image.shape)}"
