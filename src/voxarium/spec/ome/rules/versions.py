"""Versions that objects of 0.4 and 0.5 state for themselves."""

from __future__ import annotations

from voxarium.model.checking import Place, short

__all__ = ["check_own_version"]


def check_own_version(place: Place, rule: str) -> None:
    """Report an object of 0.4 that states no version or another one; since 0.5 the schema does not look."""
    version = place["version"]
    if not version.there:
        place.report(
            rule, "has no 'version'", f"add it: {place.version!r}", text="0.5", repair=(version.put(place.version),)
        )
    elif place.version == "0.4" and version.value != "0.4":
        version.report(
            rule, f"is {short(version.value)}", "make it '0.4', or follow the rules of that version", level="must"
        )
