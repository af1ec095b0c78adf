"""``voxarium view`` and ``voxarium link``: images in a browser, without converting them."""

from __future__ import annotations

import json
import sys
import webbrowser
from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import print_json, say

__all__ = ["link", "view"]

_Uris = Annotated[
    list[str],
    typer.Argument(metavar="[NAME=]URI…", help="Images, labels, and folders of them; they are laid over each other."),
]


def view(
    uris: _Uris,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes any free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or only print the address.")
    ] = True,
    viewer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="neuroglancer, or niivue: for NIfTI, surfaces and tractograms."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show images in a viewer, until it is stopped with Ctrl-C. Nothing is converted first.

    Surfaces and tractograms are shown in NiiVue, everything else in Neuroglancer unless another viewer is named.
    """
    from voxarium.serve.running import bound, run, url_of
    from voxarium.serve.showing import checked_view, viewer_for
    from voxarium.serve.site import Settings, Site

    chosen = viewer_for(uris, viewer)
    site = Site(checked_view(uris, chosen), Settings(max_age=0))
    listening = bound(host, port)
    base = url_of(listening)

    def ready() -> None:
        from voxarium.serve.layers import begin_overviews
        from voxarium.serve.showing import view_path

        if chosen == "neuroglancer":
            site.begin(begin_overviews, site, list(site.catalogue.roots))  # while the browser starts
        url = f"{base}{view_path(site, chosen)}"
        if as_json:
            sys.stdout.write(json.dumps({"url": url, "server": base, "images": list(site.catalogue.roots)}) + "\n")
        elif not quiet:
            say(f"{url}  shows {', '.join(site.catalogue.roots)}; Ctrl-C ends it")
        sys.stdout.flush()
        if browser:
            webbrowser.open(url)

    with listening:
        run(site, listening, ready=ready)


def link(
    uris: _Uris,
    server: Annotated[
        str,
        typer.Option(metavar="URL", help="Address of a running voxarium serve that serves these under the same names."),
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print an address that shows images in the viewer of a server: with contrast, colours and position in it."""
    from voxarium.serve.layers import state_of
    from voxarium.serve.showing import checked_view
    from voxarium.serve.site import Site
    from voxarium.serve.viewer import viewer_url

    site = Site(checked_view(uris))
    try:
        state = state_of(site, list(site.catalogue.roots), server.rstrip("/"))
    finally:
        site.close()
    url = viewer_url(server.rstrip("/"), state)
    if as_json:
        print_json({"url": url, "state": state})
    elif not quiet:
        say(url)
