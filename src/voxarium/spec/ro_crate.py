"""RO-Crate 1.1 metadata: the dataset, its files, and what was done to them as actions. Written only.

Actions follow the Process Run Crate: inputs and parameters are ``object``, outputs ``result``, programs ``instrument``.
https://www.researchobject.org/ro-crate/specification/1.1/ and https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from voxarium.model.canonical_json import dump_canonical
from voxarium.model.provenance import Agent, Artifact, RecordedActivity

__all__ = ["FILE_NAME", "CrateFacts", "dump_ro_crate"]

FILE_NAME: Final = "ro-crate-metadata.json"

_CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
_OUTSIDE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AGENT_TYPES: Final = {"person": "Person", "organization": "Organization", "software": "SoftwareApplication"}
_ACTIONS: Final = {"fix": "UpdateAction", "edit": "UpdateAction", "upgrade": "UpdateAction", "delete": "DeleteAction"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrateFacts:
    """What a crate says of the whole dataset; it must have a name, a description and a licence."""

    name: str
    description: str
    license: str = ""


def dump_ro_crate(
    activities: Iterable[RecordedActivity], facts: CrateFacts, is_file: Callable[[str], bool]
) -> dict[str, Any]:  # Any: JSON
    """Return the metadata document of a crate.

    Parameters
    ----------
    activities : iterable of RecordedActivity
        What the log says.
    facts : CrateFacts
        What the dataset is.
    is_file : callable
        Tells whether a key of the dataset is one object; otherwise it is a folder of them.
    """
    crate = _Crate(is_file)
    actions = [{"@id": crate.add(recorded)} for recorded in activities]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": facts.name,
        "description": facts.description,
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": name} for name in sorted(crate.parts)],
        "mentions": actions,
    }
    if crate.last_time:
        root["datePublished"] = crate.last_time
    if facts.license:
        web = _OUTSIDE.match(facts.license) is not None
        root["license"] = {"@id": facts.license} if web else facts.license
        if web:
            crate.entities[facts.license] = {"@type": "CreativeWork", "name": facts.license}
    crate.entities[_PROFILE] = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    descriptor = {
        "@id": FILE_NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    others = [{"@id": name, **entity} for name, entity in crate.entities.items()]
    return {"@context": _CONTEXT, "@graph": [descriptor, root, *others]}


class _Crate:
    """Collects entities by their id."""

    def __init__(self, is_file: Callable[[str], bool]) -> None:
        self._is_file = is_file
        self.entities: dict[str, dict[str, Any]] = {}
        self.parts: set[str] = set()
        self.last_time = ""

    def add(self, recorded: RecordedActivity) -> str:
        """Add an action and return its id."""
        activity = recorded.activity
        self.last_time = recorded.time
        name = f"#entry-{recorded.sequence}"
        parameters = [self._parameter(name, key, value) for key, value in activity.parameters.items()]
        action: dict[str, Any] = {
            "@type": _ACTIONS.get(activity.operation, "CreateAction"),
            "name": activity.operation,
            "endTime": recorded.time,
            "object": [self._artifact(a) for a in activity.inputs] + parameters,
            "result": [self._artifact(a) for a in activity.outputs],
            "instrument": [self._program(*item) for item in activity.software.items()],
        }
        if activity.agent is not None:
            action["agent"] = self._agent(activity.agent)
        if activity.note:
            action["description"] = activity.note
        self.entities[name] = {key: value for key, value in action.items() if value}
        return name

    def _artifact(self, artifact: Artifact) -> dict[str, str]:
        inside = _OUTSIDE.match(artifact.address) is None
        if not inside:
            name, kind = artifact.address, "CreativeWork"
        elif self._is_file(artifact.address):
            name, kind = quote(artifact.address), "File"
        else:
            name, kind = f"{quote(artifact.address.rstrip('/'))}/", "Dataset"
        if inside:
            self.parts.add(name)
        entity: dict[str, Any] = {"@type": kind, "name": artifact.address}
        if artifact.digest:
            entity["identifier"] = artifact.digest
        if artifact.size is not None and kind == "File":
            entity["contentSize"] = str(artifact.size)
        self.entities[name] = self.entities.get(name, {}) | entity
        return {"@id": name}

    def _parameter(self, action: str, key: str, value: Any) -> dict[str, str]:  # Any: JSON
        name = f"{action}/{quote(key, safe='')}"
        text = value if isinstance(value, str) else dump_canonical(value).decode()
        self.entities[name] = {"@type": "PropertyValue", "name": key, "value": text}
        return {"@id": name}

    def _program(self, program: str, version: str) -> dict[str, str]:
        name = f"#program-{quote(program, safe='')}-{quote(version, safe='')}"
        self.entities[name] = {"@type": "SoftwareApplication", "name": program, "softwareVersion": version}
        return {"@id": name}

    def _agent(self, agent: Agent) -> dict[str, str]:
        web = _OUTSIDE.match(agent.identifier) is not None
        name = agent.identifier if web else f"#agent-{quote(agent.name, safe='')}"
        self.entities[name] = {"@type": _AGENT_TYPES[agent.kind], "name": agent.name}
        return {"@id": name}
