"""W3C PROV as PROV-JSON: artifacts are entities, operations activities, people and programs agents. Written only.

https://www.w3.org/submissions/prov-json/
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from voxarium.model.canonical_json import dump_canonical
from voxarium.model.provenance import Agent, Artifact, RecordedActivity

__all__ = ["NAMESPACE", "dump_prov_json"]

NAMESPACE: Final = "https://voxarium.readthedocs.io/provenance#"

_AGENT_TYPES: Final = {
    "person": "prov:Person",
    "organization": "prov:Organization",
    "software": "prov:SoftwareAgent",
}


def dump_prov_json(activities: Iterable[RecordedActivity]) -> dict[str, Any]:  # Any: JSON
    """Return a PROV-JSON document of what a log says.

    The same artifact (same address, same digest) is the same entity wherever it is used, so chains of operations hang
    together. Details that were removed from the log are not there.
    """
    document = _Document()
    for recorded in activities:
        document.add(recorded)
    return document.to_json()


class _Document:
    """Collects the records of a document."""

    def __init__(self) -> None:
        self._log = ""
        self._records: dict[str, dict[str, Any]] = {}
        self._relations = 0

    def add(self, recorded: RecordedActivity) -> None:
        self._log = self._log or recorded.log
        activity = recorded.activity
        name = f"log:entry-{recorded.sequence}"
        facts: dict[str, Any] = {
            "prov:endTime": recorded.time,
            "prov:type": _name(f"vox:{activity.operation}"),
            "prov:label": activity.operation,
            "vox:sequence": recorded.sequence,
        }
        if activity.note:
            facts["vox:note"] = activity.note
        if activity.parameters:
            facts["vox:parameters"] = dump_canonical(activity.parameters).decode()
        if recorded.removed:
            facts["vox:removed"] = ", ".join(recorded.removed)
        self._record("activity", name, facts)
        for artifact in activity.inputs:
            self._relate("used", {"prov:activity": name, "prov:entity": self._entity(artifact)}, artifact.role)
        for artifact in activity.outputs:
            ends = {"prov:entity": self._entity(artifact), "prov:activity": name, "prov:time": recorded.time}
            self._relate("wasGeneratedBy", ends, artifact.role)
        agents = [] if activity.agent is None else [activity.agent]
        agents += [Agent(f"{program} {version}", "software") for program, version in activity.software.items()]
        for agent in agents:
            self._relate("wasAssociatedWith", {"prov:activity": name, "prov:agent": self._agent(agent)})

    def _record(self, kind: str, name: str, facts: dict[str, Any]) -> str:
        self._records.setdefault(kind, {})[name] = facts
        return name

    def _relate(self, kind: str, ends: dict[str, Any], role: str = "") -> None:
        self._relations += 1
        self._record(kind, f"_:r{self._relations}", ends | ({"prov:role": role} if role else {}))

    def _entity(self, artifact: Artifact) -> str:
        facts: dict[str, Any] = {"prov:label": artifact.address, "prov:location": artifact.address}
        if artifact.digest:
            facts["vox:digest"] = artifact.digest
        if artifact.size is not None:
            facts["vox:size"] = artifact.size
        return self._record("entity", f"log:artifact-{_short(artifact.address, artifact.digest)}", facts)

    def _agent(self, agent: Agent) -> str:
        facts: dict[str, Any] = {"prov:type": _name(_AGENT_TYPES[agent.kind]), "prov:label": agent.name}
        if agent.identifier:
            facts["vox:identifier"] = agent.identifier
        return self._record("agent", f"log:agent-{_short(agent.kind, agent.identifier or agent.name)}", facts)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        log = str(UUID(self._log)) if self._log else "00000000-0000-0000-0000-000000000000"
        return {"prefix": {"vox": NAMESPACE, "log": f"urn:uuid:{log}#"}, **self._records}


def _name(qualified: str) -> dict[str, str]:
    return {"$": qualified, "type": "prov:QUALIFIED_NAME"}


def _short(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:20]
