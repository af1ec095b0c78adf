"""Answers are what the description of the server promises: schemathesis makes requests from ``/openapi.json``.

Every operation is asked with requests that follow the description and with ones that break it, of images that exist and
of none: no answer is an error inside, has a status or a type that is not described, or breaks its schema; what breaks
the description is refused.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

import voxarium

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
requests = pytest.importorskip("requests", reason="requests is not installed")

EXAMPLES = 10
EM = b"lab/em.zarr".hex()
ADDRESSES = ("lab/em.zarr", "lab/em.npy", "lab/em.zarr/s1", "lab/five.npy", "lab/none", "lab")
TILE = {name: (0,) for name in ("level", "index", "row", "column")}
REAL = TILE | {
    "address": ADDRESSES,
    "key": ("lab", "lab/", "lab/em.npy", "lab/em.zarr/zarr.json", "lab/em.zarr/", "lab/none"),
}
SPECIAL = {
    "/as/{view}/{address}": {
        "view": ["precomputed", "ome-zarr-0.5", "n5"],
        "address": [f"lab/em.{kind}/{key}" for kind in ("npy", "zarr") for key in ("info", "zarr.json", "x")],
    },
    "/v/{token}/{file}": {"file": ["index.html"]},
    "/nii/{file}": {"file": ["client.js", "page.js"]},
    "/assets/{name}": {"name": ["portal.css", "none"]},
    "/api/{version}/{rest}": {"version": ["v15"], "rest": ["datasets", f"datasets/{EM}", "x"]},
    "/data/{version}/zarr/{id}/{rest}": {"id": [EM], "rest": ["datasource-properties.json", "x"], "version": ["v15"]},
    "/data/{version}/datasets/{id}/layers/{layer}/data": {"id": [EM], "layer": ["em", "color"], "version": ["v15"]},
    "/v1/{rest}": {
        "rest": ["collection", "coord", "collection/lab", "collection/lab/experiment", "cutout/lab/em_zarr/em_zarr/0/x"]
    },
}
OF_THE_DATA = ("{address}", "/state/", "{id}", "/v1/")
"""Whether what is asked for there is possible depends on the image: a box lies in it, or not."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("schemathesis") / "lab"
    folder.mkdir()
    np.save(folder / "em.npy", np.random.default_rng(3).integers(0, 255, (9, 21, 33)).astype("uint8"))
    np.save(folder / "five.npy", np.zeros((2, 3, 4, 5, 6), "uint8"))
    voxarium.convert(
        folder / "em.npy", folder / "em.zarr", axes="zyx", voxel_size=(4, 2, 1), unit="nanometer", chunk=16, levels=2
    )
    with BackgroundServer([str(folder)], settings=Settings(most_cutout=1 << 20)) as server:
        yield server.url


def checks(path, *, follows):
    """Return what is checked of an answer."""
    from schemathesis import checks

    chosen = [
        checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_headers_conformance, checks.response_schema_conformance, checks.negative_data_rejection,
    ]  # fmt: skip
    if follows and not any(part in path for part in OF_THE_DATA):
        chosen.append(checks.positive_data_acceptance)
    return chosen


def aimed(case, draw):
    """Return a request, mostly at something that exists, unless its path is what breaks the description."""
    from schemathesis.core.parameters import ParameterLocation

    part = case.meta.components.get(ParameterLocation.PATH)
    if part is None or part.mode.is_negative or draw.random() < 0.2:
        return case
    known = REAL | SPECIAL.get(case.path, {})
    case.path_parameters |= {name: draw.choice(known[name]) for name in case.path_parameters if name in known}
    return case


def shown(case, draw):
    """Return a request for pictures of images that exist, and mostly without axes that few have."""
    if case.meta.generation.mode.is_positive and "image" in case.query:
        case.query["image"] = [draw.choice(ADDRESSES[:4]) for _ in case.query["image"]]
    if case.meta.generation.mode.is_positive and draw.random() < 0.7:
        case.query = {name: value for name, value in case.query.items() if name not in ("t", "channel", "box")}
    return case


def probe(operation, mode, session, statuses):
    """Ask for one operation."""
    asked = checks(operation.path, follows=mode.is_positive)

    @seed(7)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), draw=st.randoms(use_true_random=False))
    def check(case, draw):
        case = shown(aimed(case, draw), draw)
        answer = case.call(session=session, timeout=60, allow_redirects=False)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=asked)

    try:
        check()
    except Unsatisfiable:
        assert mode.is_negative, "no request follows the description"  # a path of any text cannot be broken


def test_answers_are_what_the_description_of_the_server_promises(lab):
    schema = schemathesis.openapi.from_url(f"{lab}/openapi.json")
    answered = {}
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()
            statuses = answered.setdefault(operation.label, set())
            for mode in schemathesis.GenerationMode:
                probe(operation, mode, session, statuses)
    refused = {label for label, statuses in answered.items() if not any(status < 400 for status in statuses)}
    assert len(answered) > 35 and len(refused) < 6, sorted(refused)
