"""What a conversion does, for formats that keep beside an image how it was made."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import version
from typing import Any, Final

from voxarium.conversion.options import ConvertOptions
from voxarium.conversion.plan import Plan
from voxarium.model.provenance import Activity, Artifact, plain_parameters

__all__ = ["activity_of"]

_HOW: Final = frozenset({"memory", "checksum", "digests"})  # not what was made


def activity_of(plan: Plan) -> Activity:
    """Return a conversion as an activity: from what, with which choices, and what was chosen where nobody said.

    It names no time and nobody, so that a job that goes on, or is done again, writes the same.
    """
    usual = ConvertOptions()
    asked = {f.name: getattr(plan.options, f.name) for f in fields(usual) if f.name not in _HOW}
    said: dict[str, Any] = {k: v for k, v in asked.items() if v != getattr(usual, k)}  # Any: of every kind
    crop = plan.options.crop
    if crop is not None:
        said["crop"] = {"origin": crop.origin, "shape": crop.shape}
    said |= {"format": plan.format, "levels": len(plan.levels), "method": plan.method}
    return Activity(
        operation="convert",
        inputs=[Artifact(plan.source_image or plan.source)],
        parameters=plain_parameters(said),
        software={"voxarium": version("voxarium")},
    )
