"""The protocol of the conformance runner of OME-Zarr: one path in, a verdict out.

https://github.com/ome/ngff-spec: its runner calls a program with the path of a test case as the last argument. The case
is a JSON document with the attributes of a group, or the folder of a Zarr hierarchy.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from voxarium.model.rules import Profile, counting
from voxarium.spec.ome import rules
from voxarium.validation.running import validate

__all__ = ["verdict"]


def verdict(path: str | os.PathLike[str], profile: Profile = "schema") -> dict[str, Any]:
    """Return ``{"valid": …, "message": …}`` for a test case; the message names what counts.

    Parameters
    ----------
    path : str or path
        A JSON document of attributes, or the folder of a Zarr hierarchy.
    profile : str
        ``schema`` for the official suites, ``schema-strict`` for the strict ones.
    """
    case = Path(path)
    if case.is_dir():
        report = validate(case, depth="hierarchy", profile=profile)
        found = tuple(f for f in report.findings if f.counts(profile))
    else:
        attributes = json.loads(case.read_bytes())
        attributes.pop("_conformance", None)  # what the suites say about the case itself
        found = counting(rules.check_attributes(attributes), profile)
    lines = [f"{f.rule} {f.key}#{f.pointer}: {f.message}" for f in found]
    return {"valid": not found, "message": "; ".join(lines)}
