"""``voxarium versions`` and ``voxarium release icechunk``."""

from __future__ import annotations

import numpy as np
import pytest
import tensorstore as ts

import voxarium


@pytest.fixture
def dataset(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(210, dtype="u2").reshape(5, 6, 7))
    voxarium.convert(tmp_path / "a.npy", tmp_path / "brain/em", axes="zyx", voxel_size=8, unit="nanometer")
    return tmp_path / "brain"


def publish(run, dataset, name):
    accepted = [
        a
        for check in ("validation", "license", "contact", "provenance", "checksums")
        for a in ("--accept", f"{check}=test")
    ]
    assert run("release", "create", dataset, name, "--note", f"note of {name}", "--quiet", *accepted).code == 0


class TestVersions:
    def test_generations_of_a_database_are_listed_newest_first(self, run, tmp_path):
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/db/"}).result()
        for i in range(20):
            kv.write(f"k{i}", b"x").result()
        found = run("versions", tmp_path / "db", "--json").json["versions"]
        assert found[0]["facts"] == {"keys": 20}
        names = [v["name"] for v in found]
        assert names == [f"v{i}" for i in range(len(names), 0, -1)]
        assert all(v["kind"] == "generation" for v in found)
        some = run("versions", tmp_path / "db", "--most", 3)
        assert [line.split()[0] for line in some.out.splitlines()] == names[:3]
        assert run("versions", f"{tmp_path}/db|ocdbt:", "--most", 3).out == some.out
        assert run("info", f"{tmp_path}/db@{names[0]}").code == 1  # it has no image

    def test_releases_of_a_dataset_are_listed(self, run, dataset):
        publish(run, dataset, "v1.0")
        publish(run, dataset, "v2.0")
        run("release", "tombstone", dataset, "v1.0", "--reason", "wrong")
        found = run("versions", dataset, "--json").json["versions"]
        assert [(v["name"], v["kind"], v["message"]) for v in found] == [
            ("v2.0", "release", "note of v2.0"),
            ("v1.0", "release", "note of v1.0"),
        ]
        assert found[1]["facts"]["withdrawn"] == "wrong"

    def test_a_folder_without_versions_says_so(self, run, tmp_path):
        done = run("versions", tmp_path, "--json")
        assert done.code == 1
        assert done.error["code"] == "version-missing"

    def test_a_release_becomes_a_tag_that_is_listed_and_opens(self, run, dataset, tmp_path):
        pytest.importorskip("icechunk", reason="the extra icechunk is not installed")
        publish(run, dataset, "v1.0")
        dry = run("release", "icechunk", f"{dataset}@v1.0", tmp_path / "r", "--dry-run")
        assert "would be written to" in dry.out
        assert not (tmp_path / "r").exists()
        made = run("release", "icechunk", f"{dataset}@v1.0", tmp_path / "r", "--json").json
        assert (made["created"], made["tag"], made["arrays"]) == (True, "v1.0", 1)
        again = run("release", "icechunk", f"{dataset}@v1.0", tmp_path / "r")
        assert "was already in" in again.out
        assert made["snapshot"] in again.out
        found = {v["name"]: v for v in run("versions", tmp_path / "r", "--json").json["versions"]}
        assert found["tag.v1.0"]["facts"] == {"snapshot": made["snapshot"]}
        assert found["branch.main"]["message"] == "release v1.0: note of v1.0"
        assert run("info", f"{tmp_path}/r@v1.0/em").code == 0
