"""What is checked before a dataset is published: each check is reported, and accepted only with a reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.archive.provenance import record
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import CHECKS, Policy, parse_policy
from voxarium.core.releases import has_releases, iter_releases
from voxarium.errors import Code, ConflictError, InputError
from voxarium.model.provenance import Activity, Artifact
from voxarium.stores.local import LocalStore

VOXELS = np.random.default_rng(1).integers(1, 200, (9, 10, 11)).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path):
    """A dataset with all that a policy wants but checksums."""
    np.save(tmp_path / "a.npy", VOXELS)
    root = tmp_path / "set"
    root.mkdir()
    options = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8}
    voxarium.convert(tmp_path / "a.npy", root / "em", **options)
    voxarium.convert(tmp_path / "a.npy", root / "cells", role="label", **options)
    (root / "dataset.json").write_text(json.dumps({"license": "CC-BY-4.0", "authors": [{"name": "Ada"}]}))
    record(root, Activity(operation="ingest"))
    return root


def results(root, **options):
    found = {}
    accept = options.pop("accept", {"manifest-only": ""})
    chosen = ReleaseOptions(agent=None, accept=accept, **options)
    try:
        create_release(root, "v1.0", chosen, tell=lambda r: found.__setitem__(r.check, r))
    except ConflictError as error:
        if error.code != Code.RELEASE_REFUSED or has_releases(LocalStore(root)):
            raise
    return found


def failed(root, **options):
    return {name for name, r in results(root, **options).items() if r.state == "failed"}


def test_every_check_is_reported_and_what_was_accepted_becomes_part_of_the_release(dataset):
    found = results(dataset)
    assert list(found) == list(CHECKS)
    assert {r.state for name, r in found.items() if name != "checksums"} == {"passed"}
    assert (found["checksums"].state, found["checksums"].reason) == (
        "accepted",
        "the manifest alone protects the chunks",
    )
    (stored,) = iter_releases(LocalStore(dataset))
    assert stored.release.policy == tuple(found.values())


def test_chunks_without_checksums_are_refused_unless_that_is_accepted(dataset):
    found = results(dataset, accept={})
    assert found["checksums"].state == "failed" and "em/s0 has no checksum codec" in found["checksums"].detail
    assert failed(dataset, accept={"checksums": "chunks are checked by the manifest"}) == set()


def test_checksums_of_a_codec_are_seen(tmp_path, dataset):
    for path in (*dataset.glob("em/s*/zarr.json"), *dataset.glob("cells/s*/zarr.json")):
        path.write_text(path.read_text().replace('"checksum": false', '"checksum": true'))
    assert results(dataset, accept={})["checksums"].state == "passed"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda d: (d / "dataset.json").write_text('{"authors": [{"name": "Ada"}]}'), "license"),
        (lambda d: (d / "dataset.json").write_text('{"license": "CC0-1.0"}'), "contact"),
        (lambda d: (d / "em/s0/c.partial").write_text("x"), "leftovers"),
        (lambda d: (d / "em/notes.txt").write_text("key AKIAIOSFODNN7EXAMPLE"), "secrets"),
        (lambda d: (d / "em/zarr.json").write_text("{"), "validation"),
    ],
)
def test_what_is_missing_or_too_much_is_named(dataset, change, check):
    change(dataset)
    assert check in failed(dataset)


def test_labels_with_loss_are_refused_and_intensity_with_loss_is_named(dataset):
    for name in ("em", "cells"):
        path = next(dataset.glob(f"{name}/s0/zarr.json"))
        found = json.loads(path.read_text())
        outer = found["codecs"]
        inner = outer[0]["configuration"]["codecs"] if outer[0]["name"] == "sharding_indexed" else outer
        lossy = {"offset": 0, "scale": 1, "dtype": "|u1", "astype": "|u1"}
        inner.insert(0, {"name": "numcodecs.fixedscaleoffset", "configuration": lossy})
        path.write_text(json.dumps(found))
    found = results(dataset)
    assert found["labels-lossless"].state == "failed"
    assert found["lossy-intensity"].state == "failed" and "em/s0: " in found["lossy-intensity"].detail
    assert "nobody measured the loss" in found["lossy-intensity"].detail
    record(str(dataset), Activity(operation="measure", outputs=[Artifact("em")], parameters={"max_error": 3.5}))
    found = results(dataset)
    assert found["lossy-intensity"].state == "passed" and "at most 3.5" in found["lossy-intensity"].detail
    assert "fixedscaleoffset" in found["lossy-intensity"].detail
    record(str(dataset), Activity(operation="convert", outputs=[Artifact("em")]))
    assert results(dataset)["lossy-intensity"].state == "failed"


def test_a_licence_may_be_given_for_the_release(dataset):
    (dataset / "dataset.json").write_text('{"authors": [{"name": "Ada"}]}')
    assert failed(dataset, license="CC0-1.0") == set()
    (stored,) = iter_releases(LocalStore(dataset))
    assert stored.release.license == "CC0-1.0"


def test_a_policy_says_what_is_required_and_what_only_advises(dataset):
    (dataset / "dataset.json").write_text("{}")
    policy = parse_policy(b'{"require": ["contact", "leftovers"], "advise": ["contact"], "depth": "hierarchy"}', "p")
    found = results(dataset, policy=policy)
    assert (found["contact"].state, found["license"].state, found["leftovers"].state) == ("advised", "off", "passed")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"require": 1}', '{"require": ["x"]}', '{"more": 1}', '{"depth": "sea"}', '{"require": [[]]}']
)
def test_other_documents_are_no_policies(text):
    with pytest.raises(InputError, match="no policy"):
        parse_policy(text.encode(), "p")


def test_nothing_unknown_and_nothing_without_a_reason_is_accepted(dataset):
    with pytest.raises(InputError, match="no check magic"):
        results(dataset, accept={"magic": "x"})
    with pytest.raises(InputError, match="without a reason"):
        results(dataset, accept={"secrets": " "})


def test_a_dry_run_counts_and_writes_nothing(dataset):
    before = sorted(p for p in dataset.rglob("*"))
    found = create_release(dataset, "v1.0", ReleaseOptions(dry_run=True))
    assert found.release is None and found.objects == found.new_objects > 4
    assert {r.check for r in found.policy if r.state == "failed"} == {"checksums"}
    assert sorted(p for p in dataset.rglob("*")) == before
    assert Policy().require == frozenset(CHECKS)
