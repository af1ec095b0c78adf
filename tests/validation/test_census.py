"""The census: what is absent, superfluous, misnamed, empty, or of an impossible size is named; nothing else is."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.core.registry import array_driver, array_drivers
from voxarium.model.edits import apply_edits
from voxarium.model.image import ArraySpec
from voxarium.model.protocols import KeyedDriver
from voxarium.model.rules import Rule
from voxarium.stores.local import LocalStore
from voxarium.validation.census import RULES, CensusResult, checked_levels, take_census
from voxarium.validation.census.names import is_leftover, without_packing
from voxarium.validation.examples.arrays import BASES
from voxarium.validation.objects import ObjectState

from .conftest import folder_of, in_memory, is_document, opened, rule_ids, written

KEYED = [d for d in array_drivers() if isinstance(d, KeyedDriver)]
EXAMPLES = [(rule, example) for rule in RULES.values() for example in rule.examples]


def census(objects: dict[str, bytes], path: str = "image", root: str | None = None) -> CensusResult:
    return take_census(checked_levels(opened(objects, path)), known=is_document, root=root)


def census_of(path: Path) -> CensusResult:
    return take_census(checked_levels(voxarium.open(path)), known=is_document)


# ---------------------------------------------------------------------------------------------------------- rules
@pytest.mark.parametrize("name", BASES)
def test_bases_break_no_rule(name: str) -> None:
    objects = {k: v for k, v in BASES[name]().items() if "/labels" not in k}
    assert [f for f in census(objects, root="image").findings if f.level != "quality"] == []


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[r.id for r, _ in EXAMPLES])
def test_bad_examples_break_their_rule(rule: Rule, example: Any) -> None:
    objects = apply_edits(BASES[example.base](), example.edits)
    found = [f for f in census(objects, root="image").findings if f.rule == rule.id]
    assert found and found[0].key and found[0].message and found[0].fix
    assert found[0].level == rule.levels[""]


def test_every_rule_that_can_be_checked_says_why_and_has_an_example() -> None:
    for rule in RULES.values():
        assert rule.why and rule.mend and (rule.examples or rule.needs == "nothing"), rule.id


# -------------------------------------------------------------------------------------------------------- planted
@pytest.fixture
def volume(tmp_path: Path, noisy: np.ndarray) -> Path:
    return written(tmp_path, noisy, chunk=16, shard=0, levels=2, factors=(2, 2, 2))


def test_a_whole_image_is_counted_and_nothing_is_said(volume: Path) -> None:
    result = census_of(volume)
    assert result.findings == ()
    assert [(c.expected, c.present, c.absent) for c in result.counts.values()] == [(36, 36, 0), (8, 8, 0)]
    assert result.keys == 36 + 8 + 3 and result.extra == 0 and result.listed
    assert {m.count(ObjectState.PRESENT) for m in result.maps.values()} == {36, 8}
    assert result.nbytes == sum(p.stat().st_size for p in volume.rglob("*") if p.is_file())


def test_a_deleted_chunk_is_named(volume: Path) -> None:
    (volume / "s0/c/1/2/0").unlink()
    result = census_of(volume)
    (finding,) = result.findings
    assert (finding.rule, finding.key, finding.found) == ("CE-002", "s0/c/1/2/0", 1)
    assert result.maps["s0"].state((1, 2, 0)) is ObjectState.ABSENT


def test_a_level_with_all_chunks_behind_gz_is_a_must_and_renaming_is_offered_where_that_is_all(volume: Path) -> None:
    chunks = [p for p in (volume / "s0/c").rglob("*") if p.is_file()]
    for chunk in chunks:
        chunk.rename(f"{chunk}.gz")
    (finding,) = [f for f in census_of(volume).findings if f.level == "must"]
    assert finding.rule == "CE-006" and finding.found == len(chunks)
    assert len(finding.repair) == len(chunks)
    assert {(e.action, e.key) for e in finding.repair} >= {("move", "s0/c/0/0/0.gz")}
    objects = apply_edits(folder_of(volume), finding.repair)
    assert census(objects, "").findings == ()


def test_precomputed_chunks_packed_behind_gz_are_a_must_and_are_unpacked(tmp_path: Path, noisy: np.ndarray) -> None:
    volume = written(tmp_path, noisy, format="precomputed", chunk=16, shard=0, levels=2, codec="raw")
    if not isinstance(voxarium.open(volume).arrays[0].driver, KeyedDriver):
        pytest.skip("the driver does not tell objects by their keys yet")
    for chunk in [p for p in volume.rglob("*_*") if p.is_file() and "-" in p.name]:
        Path(f"{chunk}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
        chunk.unlink()
    findings = census_of(volume).findings
    assert rule_ids(findings, "must") == {"CE-006"}
    assert all(edit.action == "unpack" for f in findings if f.rule == "CE-006" for edit in f.repair)


def test_twins_behind_gz_are_no_more_than_a_should(volume: Path) -> None:
    shutil.copy(volume / "s0/c/0/0/0", volume / "s0/c/0/0/0.gz")
    (finding,) = census_of(volume).findings
    assert (finding.rule, finding.level, finding.key) == ("CE-006", "should", "s0/c/0/0/0.gz")


@pytest.mark.parametrize(("found", "meant"), [(".", "/"), ("/", ".")])
def test_chunks_written_with_the_other_separator_are_a_must(tmp_path: Path, found: str, meant: str) -> None:
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        str(tmp_path / "a"), shape=(9, 7), chunks=(4, 4), dtype="u2", zarr_format=2, compressors=None,
        chunk_key_encoding={"name": "v2", "separator": found},
    )  # fmt: skip
    array[...] = 5
    document = tmp_path / "a/.zarray"
    stated = document.read_text()
    assert f'"dimension_separator": "{found}"' in stated
    document.write_text(stated.replace(f'"dimension_separator": "{found}"', f'"dimension_separator": "{meant}"'))
    result = census_of(tmp_path / "a")
    must = [f for f in result.findings if f.level == "must"]
    assert [(f.rule, f.found) for f in must] == [("CE-007", 6)]
    assert next(iter(result.counts.values())).misnamed == 6
    assert next(iter(result.maps.values())).count(ObjectState.MISNAMED) == 6


def test_padded_indices_are_a_must(volume: Path) -> None:
    (volume / "s0/c/1/2/0").rename(volume / "s0/c/1/2/00")
    must = [f for f in census_of(volume).findings if f.level == "must"]
    assert [(f.rule, f.key) for f in must] == [("CE-007", "s0/c/1/2/00")]


def test_strays_leftovers_and_zero_length_objects_are_named(volume: Path) -> None:
    (volume / "s0/c/0/0/0").write_bytes(b"")
    (volume / "s0/c/0/0/notes.txt").write_text("do not look")
    (volume / "s0/c/0/0/1.3f2a.partial").write_bytes(b"x")
    (volume / "s1/c/.DS_Store").write_bytes(b"x")
    (volume / "s0/c/7").mkdir()
    (volume / "s0/c/7/0").mkdir()
    (volume / "s0/c/7/0/0").write_bytes(b"x")
    found = {(f.rule, f.level, f.key) for f in census_of(volume).findings}
    assert found == {
        ("CE-005", "must", "s0/c/0/0/0"),
        ("CE-008", "should", "s0/c/7/0/0"),
        ("CE-009", "should", "s0/c/0/0/1.3f2a.partial"),
        ("CE-011", "should", "s0/c/0/0/notes.txt"),
        ("CE-012", "quality", "s1/c/.DS_Store"),
    }


def test_a_truncated_shard_that_is_smaller_than_its_index_is_named(tmp_path: Path, noisy: np.ndarray) -> None:
    volume = written(tmp_path, noisy, chunk=8, shard=32, levels=1)
    shard = volume / "s0/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:100])
    (finding,) = census_of(volume).findings
    assert (finding.rule, finding.level, finding.key) == ("CE-010", "must", "s0/c/0/0/0")


def test_uncompressed_chunks_have_one_size(tmp_path: Path, noisy: np.ndarray) -> None:
    volume = written(tmp_path, noisy, chunk=8, shard=0, codec="none", levels=1)
    chunk = volume / "s0/c/0/0/1"
    chunk.write_bytes(chunk.read_bytes() + b"+")
    (finding,) = census_of(volume).findings
    assert (finding.rule, finding.key, finding.expected) == ("CE-010", "s0/c/0/0/1", "512 bytes")


def test_many_objects_are_grouped(tmp_path: Path) -> None:
    volume = written(tmp_path, np.zeros((40, 40, 40), np.uint8), chunk=4, shard=0, levels=1)
    (finding,) = census_of(volume).findings
    assert finding.level == "quality" and finding.found == 1000 and "995 more" in finding.message


def test_a_store_that_cannot_be_listed_is_one_finding() -> None:
    class Unlisted:
        uri, concurrency = "x:", 1

        def __init__(self, inner: Any) -> None:
            self.get, self.get_ranges, self.stat = inner.get, inner.get_ranges, inner.stat

    from voxarium.core.opening import open_image

    image = open_image(Unlisted(in_memory(BASES["pyramid-zarr3"]())), "image")
    result = take_census(checked_levels(image), known=is_document)
    assert [f.rule for f in result.findings] == ["CE-001"] and not result.listed


def test_containers_without_keys_are_left_alone(tmp_path: Path, noisy: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", noisy)
    result = census_of(tmp_path / "a.npy")
    assert result.findings == () and result.counts == {}


def test_a_grid_of_more_objects_than_fit_in_memory_is_counted_without_a_map() -> None:
    driver = array_driver("zarr3")
    info = driver.create(ArraySpec(shape=(2**40, 2**40), dtype=np.dtype("u1"), chunk_shape=(2, 2), codec="none"))
    store = in_memory({"a/c/5/9": b"1234", "a/c/6/0.gz": b"x", **driver.dump("a", info)})
    result = take_census(checked_levels(open_in_store(store, "a")), known=is_document)
    assert result.counts["a"].expected == 2**78 and result.counts["a"].present == 1
    assert result.maps["a"].states is None
    assert "CE-006" in rule_ids(result.findings, "must")


def open_in_store(store: Any, path: str) -> Any:
    from voxarium.core.opening import open_image

    return open_image(store, path)


def test_memory_is_asked_once_and_nothing_is_read(volume: Path) -> None:
    from voxarium.stores.audit import AuditStore

    store = AuditStore(LocalStore(volume))
    image = open_in_store(store, "")
    store.reset()
    take_census(checked_levels(image), known=is_document)
    assert dict(store.requests) == {"list": 1}


# ---------------------------------------------------------------------------------------------------------- keys
@pytest.mark.parametrize("driver", KEYED, ids=lambda d: d.name)
@given(data=st.data())
def test_keys_lead_back_to_their_index_and_nothing_else_does(driver: Any, data: Any) -> None:
    if not hasattr(driver, "create"):
        pytest.skip("read only: tested with its own files")
    path = data.draw(st.sampled_from(["", "a", "a/b-1/s0"]))
    if driver.name in ("precomputed-scale",) and not path:
        return
    info = driver.create(ArraySpec(shape=(70, 90, 110), dtype=np.dtype("u1"), chunk_shape=(8, 8, 8)))
    index = tuple(data.draw(st.integers(0, 7)) for _ in range(3))
    key = driver.object_key(path, info, index)
    assert driver.object_index(path, info, key) == index
    text = data.draw(st.one_of(st.text("0123/.-_cxyz", max_size=12), st.text(max_size=12)))
    found = driver.object_index(path, info, text)
    assert found is None or driver.object_key(path, info, found) == text


@given(st.text(max_size=30))
def test_any_text_is_looked_at_without_complaint(text: str) -> None:
    is_leftover(text)
    plain = without_packing(text)
    assert plain is None or text.startswith(plain)
