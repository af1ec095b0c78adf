"""Voxels: whatever is wrong with what is stored is found, named and placed; what is right is not accused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.registry import image_drivers
from voxarium.errors import VoxariumError
from voxarium.model.axes import Axis
from voxarium.model.edits import apply_edits
from voxarium.model.image import ImageInfo, LevelInfo
from voxarium.model.rules import Finding, Rule
from voxarium.model.transforms import Scale, Sequence, Translation
from voxarium.pyramid import downsample
from voxarium.stores.local import LocalStore
from voxarium.validation.census import checked_levels, take_census
from voxarium.validation.data import RULES, DataResult, check_alignment, check_data
from voxarium.validation.examples import bases
from voxarium.validation.examples.arrays import BASES
from voxarium.validation.objects import ObjectState

from .conftest import in_memory, is_document, opened, rule_ids, written

EXAMPLES = [(rule, example) for rule in RULES.values() for example in rule.examples]
CODES = [f"{r.id}-{i}" for i, (r, _) in enumerate(EXAMPLES)]


def findings(image: Image, **choices: Any) -> list[Finding]:
    return [*check_alignment(image), *data(image, **choices).findings]


def data(image: Image, **choices: Any) -> DataResult:
    census = take_census(checked_levels(image), known=is_document)
    return check_data(image, census=census.maps, **choices)


def everything(objects: dict[str, bytes]) -> list[Finding]:
    labels = ["image/labels/cells"] if "image/labels/cells/zarr.json" in objects else []
    paths = ["image", *labels] if "image/zarr.json" in objects else [""]
    return [f for path in paths for f in findings(opened(objects, path))]


# ---------------------------------------------------------------------------------------------------------- rules
@pytest.mark.parametrize("name", BASES)
def test_bases_break_no_rule(name: str) -> None:
    assert everything(BASES[name]()) == []


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=CODES)
def test_bad_examples_break_their_rule(rule: Rule, example: Any) -> None:
    if example.base not in bases():
        pytest.skip(f"there is no {example.base} yet")
    objects = apply_edits(dict(bases()[example.base]()), example.edits)
    found = [f for f in everything(objects) if f.rule == rule.id]
    assert found and found[0].key and found[0].message and found[0].fix
    assert found[0].level == rule.levels[""]


# -------------------------------------------------------------------------------------------------------- planted
def musts(image: Image, **choices: Any) -> list[Finding]:
    return [f for f in findings(image, **choices) if f.level == "must"]


@pytest.fixture
def plain(tmp_path: Path, noisy: np.ndarray) -> Path:
    return written(tmp_path, noisy, chunk=16, shard=0, codec="none", levels=3, factors=(2, 2, 2))


@pytest.fixture
def sharded(tmp_path: Path, noisy: np.ndarray) -> Path:
    return written(tmp_path, noisy, chunk=8, shard=32, levels=2, factors=(2, 2, 2))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return written(tmp_path, cells(), role="label", chunk=16, shard=0, codec="none", levels=3, factors=(2, 2, 2))


def cells(shape: tuple[int, int, int] = (37, 45, 51)) -> np.ndarray:
    z, y, x = np.indices(shape)
    return ((z // 9) * 90 + (y + z) // 7 * 10 + (x * 2 + y) // 11 + 1).astype(np.uint32)


def test_whole_images_are_read_once_and_nothing_is_said(plain: Path) -> None:
    image = voxarium.open(plain)
    result = data(image, threads=2)
    assert result.findings == () and check_alignment(image) == ()
    assert result.voxels == sum(a.size for a in image.arrays) == result.nbytes
    assert result.methods == {1: "mean", 2: "mean"} and result.faults == 0 and result.sample == 1


def test_a_deleted_chunk_of_a_fine_level_is_named(plain: Path) -> None:
    (plain / "s0/c/1/1/2").unlink()
    (found,) = musts(voxarium.open(plain))
    assert (found.rule, found.key, found.found) == ("DA-024", "s0/c/1/1/2", 1)


def test_a_deleted_chunk_of_a_coarse_level_is_named(plain: Path) -> None:
    (plain / "s1/c/0/1/0").unlink()
    found = [f for f in musts(voxarium.open(plain)) if f.key == "s1/c/0/1/0"]
    assert {f.rule for f in found} == {"DA-024"}


def test_a_deleted_chunk_of_labels_is_named(labelled: Path) -> None:
    (labelled / "s0/c/1/0/2").unlink()
    (found,) = musts(voxarium.open(labelled))
    assert (found.rule, found.key) == ("DA-024", "s0/c/1/0/2")


def test_a_shard_that_was_cut_off_is_named_once(sharded: Path) -> None:
    shard = sharded / "s0/c/0/1/0"
    shard.write_bytes(shard.read_bytes()[:-1000])
    (found,) = musts(voxarium.open(sharded))
    assert (found.rule, found.key) == ("DA-003", "s0/c/0/1/0")
    assert found.found["origin"] == [0, 32, 0]


@pytest.mark.parametrize(("start", "says"), [(104, "overlap"), (10**6, "")])
def test_an_index_that_names_wrong_places_is_found(tmp_path: Path, start: int, says: str) -> None:
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        str(tmp_path / "a"), shape=(6, 10, 14), chunks=(3, 5, 7), shards=(6, 10, 14), dtype="u1", compressors=None,
    )  # fmt: skip
    array[...] = 7
    document = json.loads((tmp_path / "a/zarr.json").read_text())
    document["codecs"][0]["configuration"]["index_codecs"].pop()
    (tmp_path / "a/zarr.json").write_text(json.dumps(document))
    shard = tmp_path / "a/c/0/0/0"
    index = np.frombuffer(shard.read_bytes()[-132:-4], "<u8").reshape(8, 2).copy()
    index[np.argsort(index[:, 0])[1], 0] = start
    shard.write_bytes(shard.read_bytes()[:-132] + index.tobytes())
    (found,) = musts(voxarium.open(tmp_path / "a"))
    assert (found.rule, found.key) == ("DA-003", "c/0/0/0") and says in found.message


def test_a_flipped_bit_under_a_checksum_is_named_with_chunk_bytes_and_voxels(tmp_path: Path, noisy: np.ndarray) -> None:
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        str(tmp_path / "a"), shape=noisy.shape, chunks=(16, 16, 16), shards=(32, 32, 32), dtype="u1",
        compressors=[zarr.codecs.Crc32cCodec()],
    )  # fmt: skip
    array[...] = noisy
    shard = tmp_path / "a/c/0/0/1"
    flipped = bytearray(shard.read_bytes())
    flipped[4105] ^= 16
    shard.write_bytes(flipped)
    (found,) = musts(voxarium.open(tmp_path / "a"))
    assert (found.rule, found.key) == ("DA-002", "c/0/0/1")
    start, stop = found.found["bytes"]
    assert start <= 4105 < stop and found.found["shape"] == [16, 16, 16]


def test_a_flipped_bit_without_a_checksum_shows_in_the_pyramid(plain: Path) -> None:
    chunk = plain / "s0/c/1/1/1"
    flipped = bytearray(chunk.read_bytes())
    flipped[16 * 16 * 3 + 16 * 5 + 7] ^= 64
    chunk.write_bytes(flipped)
    (found,) = musts(voxarium.open(plain))
    assert found.rule == "DA-020" and found.found == 1
    assert "s0/c/1/1/1" in found.message and "[9:10, 10:11, 11:12]" in found.message


def test_a_flipped_bit_of_labels_is_named(labelled: Path) -> None:
    chunk = labelled / "s1/c/0/1/0"
    flipped = bytearray(chunk.read_bytes())
    flipped[0] ^= 128
    chunk.write_bytes(flipped)
    assert rule_ids(musts(voxarium.open(labelled))) == {"DA-022"}


def test_levels_that_are_swapped_are_named(plain: Path) -> None:
    document = plain / "zarr.json"
    text = document.read_text()
    document.write_text(text.replace('"s0"', '"?"').replace('"s1"', '"s0"').replace('"?"', '"s1"'))
    (said,) = [f for f in check_alignment(voxarium.open(plain)) if f.level == "must"]
    assert said.rule == "DA-011" and "swapped" in said.message


def test_a_level_shifted_by_half_a_voxel_in_its_metadata_is_named(plain: Path) -> None:
    document = plain / "zarr.json"
    found = json.loads(document.read_text())
    multiscale = found["attributes"]["ome"]["multiscales"][0]
    moved = multiscale["datasets"][1]["coordinateTransformations"][1]["translation"]
    moved[2] -= 3.0  # half of 6 nm
    document.write_text(json.dumps(found))
    (said,) = check_alignment(voxarium.open(plain))
    assert (said.rule, said.key) == ("DA-012", "s1") and "x by -0.5" in said.message
    multiscale.pop("type")
    document.write_text(json.dumps(found))
    assert "DA-023" in rule_ids(data(voxarium.open(plain)).findings)


def test_voxels_taken_by_strides_under_the_translation_of_means_are_named(tmp_path: Path, noisy: np.ndarray) -> None:
    image = written(tmp_path, noisy, chunk=16, shard=0, levels=2, factors=(2, 2, 2), method="stride")
    document = image / "zarr.json"
    found = json.loads(document.read_text())
    level = found["attributes"]["ome"]["multiscales"][0]["datasets"][1]
    level["coordinateTransformations"] = [
        {"type": "scale", "scale": [80, 16, 12]}, {"type": "translation", "translation": [20, 4, 3]},
    ]  # fmt: skip
    found["attributes"]["ome"]["multiscales"][0]["type"] = "mean"
    document.write_text(json.dumps(found))
    assert {"DA-021", "DA-023"} <= rule_ids(findings(voxarium.open(image)), "should")


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])
def test_a_label_pyramid_made_by_averaging_is_a_must(tmp_path: Path, dtype: str) -> None:
    image = written(
        tmp_path, (cells() % 251).astype(dtype), chunk=16, shard=0, levels=3, factors=(2, 2, 2), method="mean"
    )
    document = image / "zarr.json"
    found = json.loads(document.read_text())
    found["attributes"]["ome"]["image-label"] = {"version": "0.5"}
    document.write_text(json.dumps(found))
    opened_image = voxarium.open(image)
    assert opened_image.role == "label"
    must = musts(opened_image)
    assert rule_ids(must) == {"DA-022"} and {f.key for f in must} == {"s1", "s2"}


def test_a_wrong_fill_value_is_named(tmp_path: Path, noisy: np.ndarray) -> None:
    noisy = noisy.copy()
    noisy[:, 8:16, 16:24] = 0
    image = written(tmp_path, noisy, chunk=8, shard=0, levels=2, factors=(2, 2, 2))
    for level in ("s0", "s1"):
        document = image / level / "zarr.json"
        document.write_text(document.read_text().replace('"fill_value": 0', '"fill_value": 255'))
    found = musts(voxarium.open(image))
    assert {f.rule for f in found} == {"DA-025"}
    assert "from 0" in found[0].message and found[0].expected == "0"


def test_fill_values_that_differ_between_levels_are_named(plain: Path) -> None:
    document = plain / "s1/zarr.json"
    document.write_text(document.read_text().replace('"fill_value": 0', '"fill_value": 255'))
    assert rule_ids(check_alignment(voxarium.open(plain))) == {"DA-013"}


def test_a_level_moved_by_whole_voxels_is_named(tmp_path: Path, noisy: np.ndarray) -> None:
    zarr = pytest.importorskip("zarr")
    image = written(tmp_path, noisy, chunk=16, shard=0, levels=2, factors=(2, 2, 2))
    moved = np.roll(noisy, (0, -1, 1), (0, 1, 2))
    zarr.open_array(str(image / "s1"), mode="r+")[...] = downsample(moved, (2, 2, 2), "mean")
    (found,) = musts(voxarium.open(image))
    assert (found.rule, found.key, found.found) == ("DA-027", "s1", [0, 1, -1])


def test_a_level_of_something_else_is_a_must(tmp_path: Path, noisy: np.ndarray) -> None:
    zarr = pytest.importorskip("zarr")
    smooth = np.broadcast_to(np.linspace(0, 60, 51, dtype=np.uint8), (37, 45, 51)) + noisy // 64
    image = written(tmp_path, smooth.astype(np.uint8), chunk=16, shard=0, levels=2, factors=(2, 2, 2))
    array = zarr.open_array(str(image / "s1"), mode="r+")
    array[...] = 255 - np.asarray(array[...])
    assert "DA-020" in rule_ids(musts(voxarium.open(image)))


def test_faults_are_marked_in_the_maps_of_a_census(plain: Path) -> None:
    chunk = plain / "s0/c/0/1/2"
    chunk.write_bytes(chunk.read_bytes()[:-5])
    image = voxarium.open(plain)
    census = take_census(checked_levels(image), known=is_document)
    result = check_data(image, census=census.maps)
    assert result.maps["s0"].state((0, 1, 2)) is ObjectState.CORRUPT
    assert census.maps["s0"].state((0, 1, 2)) is ObjectState.WRONG_SIZE, "the census keeps what it saw"
    assert result.faults == 1


def test_what_cannot_be_read_does_not_accuse_the_levels(plain: Path) -> None:
    chunk = plain / "s0/c/0/1/2"
    chunk.write_bytes(chunk.read_bytes()[:-5])
    assert [f.rule for f in data(voxarium.open(plain)).findings] == ["DA-001"]


def test_a_sample_is_the_same_each_time_and_is_stated(tmp_path: Path, noisy: np.ndarray) -> None:
    image = voxarium.open(written(tmp_path, np.tile(noisy, (2, 2, 2)), chunk=8, shard=16, levels=1))
    first, second = data(image, sample=0.1), data(image, sample=0.1)
    assert first.voxels == second.voxels and 0 < first.voxels < 0.3 * image.arrays[0].size
    assert first.sample == 0.1


def test_values_are_counted_where_that_is_asked_for(labelled: Path) -> None:
    image = voxarium.open(labelled)
    values, counts = np.unique(cells(), return_counts=True)
    expected = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert check_data(image, histogram=lambda info: info.shape == image.shape).histograms == {"s0": expected}
    assert check_data(image, histogram=lambda info: True, sample=0.5).histograms == {}
    assert check_data(image).histograms == {}


def test_values_of_absent_chunks_are_counted(tmp_path: Path) -> None:
    voxels = np.zeros((30, 40, 50), np.uint8)
    voxels[3, 4, 5] = 9
    image = voxarium.open(written(tmp_path, voxels, chunk=8, shard=0, levels=1))
    assert data(image, histogram=lambda info: True).histograms == {"s0": {0: 59_999, 9: 1}}


def test_progress_is_told_in_voxels(plain: Path) -> None:
    told: list[int] = []
    image = voxarium.open(plain)
    check_data(image, progress=told.append)
    assert sum(told) == sum(a.size for a in image.arrays)


def test_parts_without_any_object_are_passed_over(tmp_path: Path) -> None:
    from voxarium.core.opening import open_image
    from voxarium.stores.audit import AuditStore
    from voxarium.stores.local import LocalStore

    volume = written(tmp_path, np.zeros((64, 64, 64), np.uint8), chunk=8, shard=0, levels=2)
    store = AuditStore(LocalStore(volume))
    image = open_image(store, "")
    census = take_census(checked_levels(image), known=is_document)
    store.reset()
    told: list[int] = []
    check_data(image, census=census.maps, progress=told.append)
    assert sum(told) == sum(a.size for a in image.arrays)
    assert store.requests.total() == 0


@pytest.mark.parametrize("length", [2**13, 2**40])
def test_huge_arrays_of_which_little_is_stored_are_read_where_it_is(length: int) -> None:
    from voxarium.core.opening import open_image
    from voxarium.core.registry import array_driver
    from voxarium.model.image import ArraySpec

    driver = array_driver("zarr3")
    shape = (length, length, 40)
    info = driver.create(ArraySpec(shape=shape, dtype=np.dtype("u1"), chunk_shape=(8, 8, 8), codec="none"))
    objects = {"a/c/5/9/2": bytes(range(256)) * 2, "a/c/900/7/1": b"cut off", **driver.dump("a", info)}
    store = in_memory(objects)
    image = open_image(store, "a")
    census = take_census(checked_levels(image), known=is_document)
    told: list[int] = []
    result = check_data(image, census=census.maps, progress=told.append, histogram=lambda info: True)
    assert [(f.rule, f.key) for f in result.findings] == [("DA-001", "a/c/900/7/1")]
    assert sum(told) == length * length * 40
    assert check_data(image, census=census.maps, sample=0.01).voxels > 0


# ------------------------------------------------------------------------------------------- nothing is accused
METHODS = ["mean", "mode", "stride", "median", "min", "max", "gaussian"]


def images() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "shape": st.tuples(st.integers(1, 21), st.integers(1, 34), st.integers(1, 45)),
            "dtype": st.sampled_from(["uint8", "int16", "uint16", "uint32", "int64", "float32", "float64"]),
            "method": st.sampled_from(METHODS),
            "kind": st.sampled_from(["noise", "labels", "sparse", "smooth", "constant"]),
            "chunk": st.sampled_from([4, 8, 13]),
            "shard": st.booleans(),
            "factors": st.sampled_from([(2, 2, 2), (1, 2, 2), (3, 2, 1), (2, 4, 3)]),
            "levels": st.integers(2, 4),
            "seed": st.integers(0, 1000),
        }
    )


def made(kind: str, shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    values = {
        "noise": rng.integers(0, 120, shape),
        "labels": z // 5 * 40 + y // 6 * 7 + x // 9,
        "sparse": np.where(rng.random(shape) > 0.99, 100, 0),
        "smooth": (z * 3 + y * 2 + x) // 4 + rng.integers(0, 2, shape),
        "constant": np.full(shape, seed % 3),
    }[kind]
    return values.astype(dtype)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=images())
def test_what_this_library_writes_is_never_accused(choice: dict[str, Any], tmp_path_factory: Any) -> None:
    data_ = made(choice["kind"], choice["shape"], choice["dtype"], choice["seed"])
    folder = tmp_path_factory.mktemp("valid")
    image = voxarium.open(
        written(
            folder, data_, chunk=choice["chunk"], shard=choice["chunk"] * 2 if choice["shard"] else 0,
            levels=choice["levels"], factors=choice["factors"], method=choice["method"],
        )
    )  # fmt: skip
    census = take_census(checked_levels(image), known=is_document)
    said = [*census.findings, *check_alignment(image), *check_data(image, census=census.maps, threads=2).findings]
    assert [f for f in said if f.level != "quality"] == []
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("shape", "method"),
    [((51,), "mean"), ((37, 51), "mode"), ((3, 19, 33, 41), "median"), ((2, 3, 9, 33, 41), "gaussian")],
)
def test_images_of_any_number_of_axes_are_checked(tmp_path: Path, shape: tuple[int, ...], method: str) -> None:
    zarr = pytest.importorskip("zarr")
    levels = [np.random.default_rng(3).integers(1, 90, shape).astype(np.uint16)]
    space = min(3, len(shape))
    factors = (1,) * (len(shape) - space) + (2,) * space
    names = "tczyx"[-len(shape) :]
    for number in range(3):
        array = zarr.create_array(
            str(tmp_path / f"s{number}"), shape=levels[-1].shape, chunks=(1,) * (len(shape) - space) + (8,) * space,
            dtype="u2", dimension_names=names,
        )  # fmt: skip
        array[...] = levels[-1]
        levels.append(downsample(levels[-1], factors, method))
    image = pyramid_of(tmp_path, len(shape))
    found = data(image)
    assert found.findings == () and set(found.methods.values()) <= {method}
    chunk = sorted(p for p in (tmp_path / "s0/c").rglob("*") if p.is_file())[-1]
    chunk.unlink()
    assert rule_ids(musts(image)) == {"DA-024"}


def pyramid_of(folder: Path, ndim: int) -> Image:
    """Levels as an image, without a convention that limits its axes."""
    arrays = tuple(voxarium.open(folder / f"s{i}").arrays[0] for i in range(3))
    axes = tuple(Axis(name=n, type="space" if n in "zyx" else "other") for n in "tczyx"[-ndim:])
    infos = []
    for i, array in enumerate(arrays):
        factors = tuple(2.0**i if a.type == "space" else 1.0 for a in axes)
        moved = Translation(tuple((f - 1) / 2 for f in factors))
        infos.append(LevelInfo(path=f"s{i}", array=array.info, transform=Sequence((Scale(factors), moved))))
    info = ImageInfo(format="", axes=axes, levels=tuple(infos))
    store = LocalStore(folder)
    arrays = tuple(Array(a.driver, store, f"s{i}", a.info) for i, a in enumerate(arrays))
    return Image(store, "", info, arrays)


FORMATS = [d for d in image_drivers() if "write" in d.capabilities]


@pytest.mark.parametrize("role", ["intensity", "label"])
@pytest.mark.parametrize("driver", FORMATS, ids=lambda d: d.name)
def test_no_format_that_is_written_is_accused(tmp_path: Path, driver: Any, role: str) -> None:
    in_n5 = ("bdv", "cosem", "n5-canonical", "n5-viewer", "ome-n5", "paintera")
    places = {
        "webknossos": "{}/color", "hdf5": "{}.h5", "bdv-hdf5": "{}.h5", "cremi": "{}.hdf",
        "cellmap-annotation": "{}.zarr/crop/mito", "ome-tiff": "{}.ome.tif",
    }  # fmt: skip
    pattern = "{}.n5/em/raw" if driver.name in in_n5 else places.get(driver.name, "{}")
    voxels = cells((33, 41, 52)).astype("uint16") if role == "label" else made("noise", (33, 41, 52), "uint8", 3)
    many = set("zyx") <= set(getattr(driver, "reducible", set("zyx")))
    try:
        place = written(
            tmp_path, voxels, pattern.format(driver.name), format=driver.name, role=role, levels=3 if many else 1,
            chunk=8, **({"factors": (2, 2, 2)} if many else {}),
        )  # fmt: skip
    except VoxariumError as error:
        pytest.skip(f"cannot hold this: {error.message}")
    image = only_image(voxarium.open(place))
    census = take_census(checked_levels(image), known=is_document)
    said = [*census.findings, *check_alignment(image), *check_data(image, census=census.maps).findings]
    assert [(f.rule, f.key, f.message) for f in said if f.level != "quality" and f.rule != "CE-011"] == []


def only_image(found: Any) -> Image:
    return found if isinstance(found, Image) else next(image for _, image in found.iter_images())


# --------------------------------------------------------------------------------------------------------- damage
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_done_to_objects_is_a_finding_and_no_error(data: Any) -> None:
    objects = dict(BASES[data.draw(st.sampled_from(sorted(BASES)))]())
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(sorted(k for k in objects if not k.endswith(".json"))))
        match data.draw(st.sampled_from(["remove", "cut", "flip", "replace", "rename", "copy"])):
            case "remove" if len(objects) > 4:
                del objects[key]
            case "cut":
                objects[key] = objects[key][: data.draw(st.integers(0, len(objects[key])))]
            case "flip" if objects[key]:
                at = data.draw(st.integers(0, len(objects[key]) - 1))
                objects[key] = objects[key][:at] + bytes([objects[key][at] ^ 1]) + objects[key][at + 1 :]
            case "replace":
                objects[key] = data.draw(st.binary(max_size=300))
            case "rename":
                name = data.draw(st.text("0123456789/.-c", min_size=1, max_size=9)).strip("/.")
                if name and "//" not in name and "/./" not in name and "/../" not in name:
                    objects[f"image/0/{name}"] = objects.pop(key)
            case _:
                objects[f"image/0/c/{data.draw(st.integers(0, 10**20))}/0/0"] = objects[key]
    assert isinstance(everything(objects), list)
