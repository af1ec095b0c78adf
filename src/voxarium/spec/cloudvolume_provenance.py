"""The file ``provenance`` that CloudVolume and Igneous keep in a layer: description, owners, sources, processing steps.

Its schema is in CloudVolume's own code (provenance.py): a step is any object; by custom it has ``method``, ``by`` and
``date``. Keys that are not known are carried along. https://github.com/seung-lab/cloud-volume
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from voxarium.errors import InputError
from voxarium.model.canonical_json import dump_canonical
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object
from voxarium.model.provenance import Activity, Agent, Artifact, RecordedActivity, plain_parameters

__all__ = ["FILE_NAME", "LayerProvenance", "activities_of", "dump_layer", "layer_of", "parse_layer", "with_activities"]

FILE_NAME: Final = "provenance"

_MOST_STEPS: Final = 100_000
_MOST_BYTES: Final = 64 << 20
_OPERATIONS: Final = (
    ("downsample", "downsample"),
    ("transfer", "convert"),
    ("ingest", "ingest"),
    ("touch", "ingest"),
    ("delete", "delete"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProvenance:
    """What the file holds.

    Parameters
    ----------
    description : str
        Of the layer.
    owners, sources : tuple of str
        Mail addresses; addresses of the layers that this one was made from.
    processing : tuple of mapping
        One for each thing done, the oldest first.
    extra : mapping
        Whatever else there was.
    """

    description: str = ""
    owners: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    processing: tuple[Mapping[str, Any], ...] = ()  # Any: JSON
    extra: Mapping[str, Any] = field(default_factory=dict)


def parse_layer(data: bytes, where: str) -> LayerProvenance:
    """Parse the file.

    CloudVolume also accepts JSON5, which people may have typed; that is refused here.

    Raises
    ------
    FormatError
        If it is not JSON, or its parts are of the wrong kind.
    """
    problems = Problems(where)
    if len(data) > _MOST_BYTES:
        problems.add(f"{len(data)} bytes are more than {_MOST_BYTES}")
        problems.check()
    fields = Fields(parse_json_object(data, where), problems)
    steps = fields.raw("processing", ())
    if not (isinstance(steps, (list, tuple)) and len(steps) <= _MOST_STEPS and all(isinstance(s, dict) for s in steps)):
        fields.wrong("processing", "a list of objects")
        steps = ()
    layer = LayerProvenance(
        description=fields.text("description", ""),
        owners=_texts(fields, "owners"),
        sources=_texts(fields, "sources"),
        processing=tuple(steps),
        extra=fields.rest(),
    )
    problems.check("correct the file; CloudVolume writes it as plain JSON")
    return layer


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.raw(key, ())
    if isinstance(value, str):  # CloudVolume itself writes "" where there are no sources
        return (value,) if value else ()
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    fields.wrong(key, "a list of texts")
    return ()


def dump_layer(layer: LayerProvenance) -> bytes:
    """Return the file."""
    return dump_json(
        {
            **layer.extra,
            "description": layer.description,
            "owners": list(layer.owners),
            "sources": list(layer.sources),
            "processing": [dict(step) for step in layer.processing],
        }
    )


def layer_of(activity: Activity) -> LayerProvenance:
    """Return what a new layer's file says of how it was made. It has no date: the same job writes the same bytes."""
    step: dict[str, Any] = {"method": _method(activity)}
    if activity.agent is not None:
        step["by"] = activity.agent.name
    return LayerProvenance(sources=tuple(a.address for a in activity.inputs), processing=(step,))


def with_activities(layer: LayerProvenance, activities: Iterable[RecordedActivity]) -> LayerProvenance:
    """Return a file with steps for activities of a log, but for those that it has already."""
    steps, sources = list(layer.processing), list(layer.sources)
    known = {_entry_of(step) for step in steps}
    for recorded in activities:
        entry = f"voxarium-log/{recorded.log}#{recorded.sequence}"
        if entry in known:
            continue
        steps.append(_step(recorded, entry))
        sources += [a.address for a in recorded.activity.inputs if a.address not in sources]
    return replace(layer, processing=tuple(steps), sources=tuple(dict.fromkeys(sources)))


def _entry_of(step: Mapping[str, Any]) -> str:
    method = step.get("method")
    return str(method.get("entry", "")) if isinstance(method, dict) else ""


def _step(recorded: RecordedActivity, entry: str) -> dict[str, Any]:  # Any: JSON
    activity = recorded.activity
    step: dict[str, Any] = {"method": _method(activity) | {"entry": entry}}
    if activity.agent is not None:
        step["by"] = activity.agent.name
    return step | {"date": recorded.time}


def _method(activity: Activity) -> dict[str, Any]:  # Any: JSON
    method: dict[str, Any] = {
        "task": activity.operation,
        "parameters": dict(activity.parameters),
        "inputs": [_artifact(a) for a in activity.inputs],
        "outputs": [_artifact(a) for a in activity.outputs],
        "software": dict(activity.software),
        "description": activity.note,
    }
    return {k: v for k, v in method.items() if v}


def _artifact(artifact: Artifact) -> str:
    return f"{artifact.address} {artifact.digest}".rstrip()


def activities_of(layer: LayerProvenance, address: str) -> list[tuple[str, Activity]]:
    """Return (write_id, activity) for each step that did not come from a log of ours.

    The same step of the same layer (`address`) gives the same write_id, so taking a file over twice records nothing
    twice.
    """
    found = []
    for i, step in enumerate(layer.processing):
        if _entry_of(step):
            continue
        plain = plain_parameters(step)
        write_id = sha256(dump_canonical([address, i, plain])).hexdigest()[:32]
        found.append((write_id, _activity(plain, layer.sources, address)))
    return found


def _activity(step: Mapping[str, Any], sources: tuple[str, ...], address: str) -> Activity:
    method = step.get("method")
    task = method.get("task", "") if isinstance(method, dict) else method
    operation = next((o for word, o in _OPERATIONS if word in str(task).lower()), "convert")
    by, description = step.get("by"), step.get("description")
    agent = Agent(by) if isinstance(by, str) and by.strip() else None
    inputs = []
    for source in sources:
        try:
            inputs.append(Artifact(plain_parameters(source)))
        except InputError:
            continue  # nothing but a secret: no address is left
    return Activity(
        operation=operation,
        agent=agent,
        inputs=inputs,
        outputs=[Artifact(address)],
        parameters={"cloudvolume": step},
        note=description if isinstance(description, str) else "",
    )
