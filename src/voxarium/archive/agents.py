"""Who is at work, and with what: what engines fill into an activity when nobody says otherwise."""

from __future__ import annotations

import getpass
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from voxarium.model.provenance import Agent

__all__ = ["default_agent", "parse_agent", "software_versions"]

_NAMED: Final = re.compile(r"\s*([^<>]*?)\s*(?:<([^<>]*)>)?\s*")


def parse_agent(text: str) -> Agent:
    """Return the person that a text such as ``Ada Lovelace <https://orcid.org/…>`` names.

    Raises
    ------
    InputError
        If it names nobody.

    Examples
    --------
    >>> parse_agent("Ada <mailto:ada@example.org>")
    Agent(name='Ada', kind='person', identifier='mailto:ada@example.org')
    """
    found = _NAMED.fullmatch(text)
    name, identifier = (found[1], found[2] or "") if found else (text, "")
    return Agent(name or identifier, "person", identifier)


def default_agent() -> Agent | None:
    """Return who is at work: ``$VOXARIUM_AGENT``, or the name this user logs in with; None if there is none."""
    given = os.environ.get("VOXARIUM_AGENT", "").strip()
    if given:
        return parse_agent(given)
    try:
        return Agent(getpass.getuser())
    except (OSError, KeyError, ImportError):  # no such user, as in some containers
        return None


def software_versions(*packages: str) -> dict[str, str]:
    """Return the versions of Voxarium, Python, and of those of the packages that are installed.

    Examples
    --------
    >>> sorted(software_versions("numpy", "no-such-package"))
    ['numpy', 'python', 'voxarium']
    """
    from voxarium import __version__

    found = {"voxarium": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
