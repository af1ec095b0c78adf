"""The application for other servers of ASGI, such as granian: ``granian --interface asgi --factory …:application``.

What is served stands in the environment: VOXARIUM_SERVE is a JSON document with ``roots`` (a list of URIs) and, if
wished, any of the `Settings`.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import Final

from voxarium.errors import Code, InputError
from voxarium.serve.application import Application
from voxarium.serve.site import Settings, open_site

__all__ = ["VARIABLE", "application"]

VARIABLE: Final = "VOXARIUM_SERVE"


def application() -> Application:
    """Return the application that the environment describes.

    Raises
    ------
    InputError
        If it does not.
    """
    known = {field.name for field in fields(Settings)}
    try:
        told = json.loads(os.environ.get(VARIABLE, ""))
        roots = [str(root) for root in told.pop("roots")]
        if not set(told) <= known:
            raise KeyError(*sorted(set(told) - known))
        settings = Settings(**{**told, "origins": tuple(told.get("origins", ("*",)))})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{VARIABLE} does not say what to serve: {error}",
            code=Code.ARGUMENT_INVALID,
            fix=f'set it to a document such as {{"roots": ["/data"]}}; settings are {", ".join(sorted(known))}',
        ) from error
    return Application(open_site(roots, settings))
