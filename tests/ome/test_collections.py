"""Plates, wells, containers of series, scenes, lists of labels, and collections of RFC-8."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.core.dataset import Dataset
from voxarium.core.opening import open_image, open_in
from voxarium.errors import Code, FormatError, InputError, NotFoundError, VoxariumError
from voxarium.formats.ome_collections import OmeCollectionDriver
from voxarium.model.collection import CollectionInfo, Member
from voxarium.spec import ome
from voxarium.stores.audit import AuditStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NGFF = SHARED / "ngff" / "ngff-spec"


def group(store, path, content, newer=True, version="0.5"):
    key = f"{path}/" if path else ""
    if newer:
        attributes = {"ome": {"version": version, **content}} if content else {}
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        store.put(f"{key}zarr.json", json.dumps(document).encode())
    else:
        store.put(f"{key}.zgroup", b'{"zarr_format": 2}')
        store.put(f"{key}.zattrs", json.dumps(content).encode())


def image(store, path, shape=(2, 3, 5), newer=True, name="", more=()):
    multiscales = [
        {"axes": [{"name": n, "type": "space"} for n in "zyx"], "name": label, "datasets": [
            {"path": level, "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]}]}
        for label, level in ((name, "s0"), *more)
    ]  # fmt: skip
    group(store, path, {"multiscales": multiscales}, newer)
    for level in ("s0", *(level for _, level in more)):
        if newer:
            array = {
                "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": "uint8", "fill_value": 0,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
                "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}], "attributes": {},
            }  # fmt: skip
            store.put(f"{path}/{level}/zarr.json", json.dumps(array).encode())
        else:
            array = {
                "zarr_format": 2, "shape": list(shape), "chunks": list(shape), "dtype": "|u1", "fill_value": 0,
                "order": "C", "compressor": None, "filters": None, "dimension_separator": "/",
            }  # fmt: skip
            store.put(f"{path}/{level}/.zarray", json.dumps(array).encode())


def plate_body(rows="AB", columns=("1", "2", "3"), wells=("A/3", "B/2"), **more):
    places = [
        {"path": w, "rowIndex": rows.index(w[0]), "columnIndex": columns.index(w[2:])} for w in wells
    ]  # fmt: skip
    return {
        "rows": [{"name": r} for r in rows], "columns": [{"name": c} for c in columns], "wells": places,
        "name": "screen", "field_count": 2, **more,
    }  # fmt: skip


@pytest.mark.parametrize("newer", [True, False])
def test_a_plate_opens_as_a_dataset_of_wells_of_images(newer):
    store = MemoryStore()
    group(store, "", {"plate": plate_body(acquisitions=[{"id": 4, "name": "day"}])}, newer)
    for well in ("A/3", "B/2"):
        group(store, well, {"well": {"images": [{"path": "0", "acquisition": 4}, {"path": "1"}]}}, newer)
        for name in "01":
            image(store, f"{well}/{name}", newer=newer)
    found = open_in(store)
    assert (found.kind, found.name, found.keys()) == ("plate", "screen", ["A/3", "B/2"])
    assert found.info.facts["rows"] == ["A", "B"] and found.info.facts["acquisitions"] == [{"id": 4, "name": "day"}]
    assert found.members[0].facts == {"row": "A", "column": "3"} and found["A3"].kind == "well"
    well = found["B/2"]
    assert isinstance(well, Dataset) and well.name == "B2" and well.members[0].facts == {"field": 0, "acquisition": 4}
    assert found["A/3/1"].shape == well["1"].shape == (2, 3, 5)
    assert [key for key, _ in found.iter_images()] == ["A/3/0", "A/3/1", "B/2/0", "B/2/1"]
    with pytest.raises(NotFoundError):
        found["A/3/2"]
    assert not found.problems


def test_plates_of_the_first_versions_have_no_indices():
    plate = ome.parse_plate({"plate": {"rows": [{"name": "A"}], "columns": [{"name": "1"}, {"name": "2"}],
                                       "wells": [{"path": "A/2"}], "version": "0.1"}})  # fmt: skip
    assert plate.wells == (ome.WellPlace("A/2", 0, 1),) and not plate.notes and plate.spec_version == "0.1"


class Far(AuditStore):
    """Counts, and says it is far away, as a store behind a network does."""

    concurrency = 32


def put_written(store, path, folder, levels=3):
    """Put an image of several levels as this package writes it."""
    np.save(folder / "source.npy", np.arange(9 * 10 * 11, dtype="uint16").reshape(9, 10, 11))
    voxarium.convert(folder / "source.npy", folder / "im.zarr", levels=levels, chunk=16, axes="zyx",
                     voxel_size=(1, 1, 1), unit="micrometer", spec_version="0.5", overwrite=True)  # fmt: skip
    written = LocalStore(folder / "im.zarr")
    for key, _ in written.list(""):
        store.put(f"{path}/{key}", written.get(key))


def big_plate(store, folder, rows=80, columns=125):
    names = [f"R{i}" for i in range(rows)], [str(i + 1) for i in range(columns)]
    wells = [{"path": f"{r}/{c}", "rowIndex": i, "columnIndex": j}
             for i, r in enumerate(names[0]) for j, c in enumerate(names[1])]  # fmt: skip
    body = {"rows": [{"name": r} for r in names[0]], "columns": [{"name": c} for c in names[1]], "wells": wells}
    group(store, "", {"plate": body})
    for well in ("R0/1", "R79/125"):
        group(store, well, {"well": {"images": [{"path": "0"}]}})
        put_written(store, f"{well}/0", folder)


def test_a_plate_of_ten_thousand_wells_opens_in_three_requests_and_three_for_each_image(tmp_path):
    store = MemoryStore()
    big_plate(store, tmp_path)
    far = Far(store, record=True)
    found = open_in(far)
    assert len(found) == 10_000
    assert sum(far.requests.values()) <= 3, far.requests
    repr(found)
    for n, key in enumerate(("R0/1/0", "R79/125/0"), 1):
        opened = found[key]
        assert (opened.shape, len(opened.levels)) == ((9, 10, 11), 3)
        assert sum(far.requests.values()) <= 3 + 3 * n, [(o.method, o.key) for o in far.log]


def test_a_plate_behind_http_costs_as_little(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "stores"))
    from http_server import RangeServer

    store = MemoryStore()
    big_plate(store, tmp_path)
    objects = {f"big.zarr/{key}": store.get(key) for key, _ in store.list("")}
    with RangeServer(objects) as server:
        found = voxarium.open(f"{server.url}/big.zarr")
        assert len(found) == 10_000 and len(server.requests) <= 3, server.requests
        opened = found["R79/125/0"]
        assert (opened.shape, len(opened.levels)) == ((9, 10, 11), 3)
        assert len(server.requests) <= 6, server.requests


@pytest.mark.parametrize(
    ("wells", "left", "note"),
    [
        ([{"path": "A/3"}, {"path": "../3"}, {"path": "A/../../x"}], ["A/3"], "wells left out"),
        ([{"path": "A/3"}, {"path": "A/3"}, {"path": "A/3/0"}, {"path": 7}, "x"], ["A/3"], "wells listed again"),
        ([{"path": "A/3", "rowIndex": 2**62, "columnIndex": -1}], ["A/3"], "indices"),
        ([{"path": "Z/9"}], ["Z/9"], "does not list"),
    ],
)
def test_wells_that_cannot_be_are_left_out_with_a_note(wells, left, note):
    plate = ome.parse_plate({"plate": {**plate_body(), "wells": wells}})
    assert [w.path for w in plate.wells] == left
    assert any(note in n for n in plate.notes)


@pytest.mark.parametrize(
    "body",
    [
        [], "x", {"wells": 3}, {"wells": [{"path": "../x"}]}, {"rows": {}, "wells": []},
        {"wells": [{"path": "a/b/c"}], "rows": [1], "columns": [None]},
    ],
)  # fmt: skip
def test_a_plate_that_makes_no_sense_is_one_clear_error(body):
    with pytest.raises(FormatError):
        ome.parse_plate({"plate": body})
    store = MemoryStore()
    group(store, "p", {"plate": body})
    with pytest.raises(FormatError):
        open_in(store, "p")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["A/1", "../x", "0", "A"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "wells", "rows", "images", "name", "columns", "id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["plate", "well", "series", "scene", "labels", "bioformats2raw.layout", "type"]))
def test_anything_in_a_document_is_read_or_refused(body, key):
    store = MemoryStore()
    group(store, "", {key: body})
    try:
        found = OmeCollectionDriver().open(store, "")
    except (FormatError, NotFoundError):
        return
    assert isinstance(found, CollectionInfo)


def container(store, series=("0", "1"), newer=True, xml=True):
    group(store, "", {"bioformats2raw.layout": 3}, newer)
    if series is not None:
        group(store, "OME", {"series": list(series)}, newer)
    for name in series or ("0", "1"):
        image(store, name, newer=newer)
    if xml:
        names = "".join(f'<Image ID="Image:{i}" Name="field {i}"/>' for i in range(2))
        store.put("OME/METADATA.ome.xml", f'<OME xmlns="http://x">{names}</OME>'.encode())


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("series", [("0", "1"), ("a", "b/c"), None])
def test_a_container_opens_with_its_series_and_carries_its_xml(newer, series):
    store = MemoryStore()
    container(store, series, newer)
    found = open_in(store)
    assert found.kind == "series" and found.keys() == list(series or ("0", "1"))
    assert [m.name for m in found.members] == ["field 0", "field 1"] and not found.info.notes
    assert found["field 1"].shape == (2, 3, 5)
    assert found.info.bag.records[1].format == "ome-xml" and found.info.bag.records[1].header.startswith(b"<OME")


def test_a_container_without_a_list_counts_up_where_nothing_can_be_listed():
    store = MemoryStore()
    container(store, None)

    class Blind:
        uri, concurrency = "blind:", 4
        get, get_ranges, stat = store.get, store.get_ranges, store.stat

    assert open_in(Blind()).keys() == ["0", "1"]


def test_a_plate_wins_over_the_container_around_it():
    store = MemoryStore()
    group(store, "", {"bioformats2raw.layout": 3, "plate": plate_body()})
    assert open_in(store).kind == "plate"


def test_two_thousand_images_are_listed_in_few_requests():
    store = MemoryStore()
    group(store, "", {"bioformats2raw.layout": 3})
    group(store, "OME", {"series": [str(i) for i in range(2000)]})
    far = Far(store)
    found = open_in(far)
    assert len(found.keys()) == 2000 and "1,980 more" in repr(found)
    assert sum(far.requests.values()) <= 5, far.requests
    nodes = [
        {"type": "multiscale", "name": f"im{i}", "path": {"type": "zarr", "path": f"./im{i}.zarr"}} for i in range(2000)
    ]
    store = MemoryStore()
    group(store, "", {"type": "collection", "name": "many", "nodes": nodes})
    image(store, "im7.zarr")
    far = Far(store)
    found = open_in(far)
    assert (found.kind, found.name, len(found)) == ("collection", "many", 2000)
    assert sum(far.requests.values()) <= 3, far.requests
    assert found["im7"].shape == (2, 3, 5)


def test_a_container_of_another_layout_is_refused():
    store = MemoryStore()
    group(store, "c", {"bioformats2raw.layout": 2})
    with pytest.raises(FormatError, match="layout"):
        open_in(store, "c")


def test_one_of_several_multiscales_is_chosen_by_name_and_the_others_are_told():
    store = MemoryStore()
    image(store, "im", name="raw", more=(("smooth", "t0"), ("twin", "u0"), ("twin", "u0")))
    first = open_image(store, "im")
    assert first.levels[0].path == "s0"
    assert any("0 (raw), 1 (smooth)" in n for r in first.info.bag.records for n in r.notes)
    assert open_image(store, "im", multiscale="smooth").levels[0].path == "t0"
    assert open_in(store, "im", multiscale=2).levels[0].path == "u0"
    for wanted in ("nothing", "twin", 9):
        with pytest.raises(InputError, match="multiscale"):
            open_image(store, "im", multiscale=wanted)


def test_labels_and_scenes_list_their_images():
    store = MemoryStore()
    image(store, "im")
    group(store, "im/labels", {"labels": ["cells", "deep/er", "../out"]})
    group(store, "im/labels/deep", {})
    image(store, "im/labels/cells")
    image(store, "im/labels/deep/er")
    found = open_in(store, "im/labels")
    assert found.keys() == ["cells", "deep/er"] and {i.role for _, i in found.iter_images()} == {"label"}
    assert "../out" in found.info.notes[0]
    assert open_in(store, "im").info.labels == ("labels/cells", "labels/deep/er")
    ends = {"input": {"path": "im", "name": "physical"}, "output": {"name": "world"}}
    group(store, "", {"scene": {"coordinateTransformations": [{"type": "identity", **ends}]}}, version="0.6")
    assert open_in(store).keys() == ["im"]


def test_collections_of_every_dialect_open_with_their_nodes():
    store = MemoryStore()
    image(store, "data/em.zarr")
    image(store, "data/seg.zarr")
    draft = {"version": "0.x", "type": "collection", "name": "draft", "nodes": [
        {"type": "multiscale", "id": "em", "name": "EM", "path": {"type": "zarr", "path": "./em.zarr"}},
        {"type": "collection", "name": "inner", "nodes": [
            {"type": "multiscale", "name": "cells", "path": {"type": "zarr", "path": "seg.zarr"},
             "attributes": {"labels": {"source": [{"id": "em"}]}}}]},
        {"type": "multiscale", "name": "far", "path": {"type": "zarr", "path": "https://example.org/x.zarr"}},
        {"type": "acme:mesh", "name": "mesh", "path": {"type": "zarr", "path": "m"}},
    ]}  # fmt: skip
    older = {"version": "0.7", "node_type": "collection", "name": "older",
             "nodes": [{"node_type": "multiscale", "name": "EM", "path": "em.zarr"}]}  # fmt: skip
    slide = {"collection": {"name": "slide", "members": [{"type": "image", "path": "em.zarr", "name": "EM"}]}}
    store.put("data/draft.json", json.dumps({"ome": draft}).encode())
    store.put("data/older.json", json.dumps({"ome": older}).encode())
    store.put("data/slide.json", json.dumps({"https://ngff.openmicroscopy.org/0.6": slide}).encode())
    found = open_in(store, "data/draft.json")
    assert [(m.name, m.kind) for m in found.members] == [("EM", "image"), ("cells", "label")]
    assert found["EM"].shape == (2, 3, 5) and found["cells"].role == "label"
    assert found.members[1].facts["collection"] == "inner"
    assert any("https://example.org/x.zarr" in n for n in found.info.notes)
    for name in ("older", "slide"):
        assert open_in(store, f"data/{name}.json")["EM"].shape == (2, 3, 5)
    store.put("data/other.json", b'{"a": 1}')
    with pytest.raises(VoxariumError):
        open_in(store, "data/other.json")


@pytest.mark.skipif(not NGFF.exists(), reason=f"no official documents at {NGFF}")
@pytest.mark.parametrize("kind", ["plate", "well"])
def test_official_documents_that_are_valid_are_read(kind):
    read = 0
    for version in ("0.4", "0.5"):
        for path in sorted((NGFF / version / "tests").glob(f"*{kind}_suite.json")):
            for case in json.loads(path.read_text())["tests"]:
                if case["valid"]:
                    parse = ome.parse_plate if kind == "plate" else ome.parse_well
                    parse(case["data"].get("attributes", case["data"]))
                    read += 1
    for path in sorted(NGFF.rglob(f"{kind}/**/*.json")):
        try:
            document = json.loads(path.read_text(), strict=False)
        except ValueError:
            continue  # one is no JSON
        attributes = document.get("attributes", document)
        if "invalid" not in path.parts and kind in ome.namespace(attributes):
            (ome.parse_plate if kind == "plate" else ome.parse_well)(attributes)
            read += 1
    assert read > 10


def test_what_is_written_is_read_again():
    plate = ome.Plate(
        rows=("A", "B"), columns=("1", "2"), wells=(ome.WellPlace("B/1", 1, 0),), acquisitions=({"id": 0},),
        field_count=3, name="p",
    )  # fmt: skip
    for version in ("0.4", "0.5", "0.6"):
        again = ome.parse_plate(ome.dump_plate(plate, version))
        assert (again.wells, again.rows, again.field_count, again.spec_version) == (plate.wells, plate.rows, 3, version)
        well = ome.parse_well(ome.dump_well([ome.Field("0", 1), ome.Field("1")], version))
        assert well.images == (ome.Field("0", 1), ome.Field("1"))
    for wrong in (
        {"rows": ("A", "A")}, {"rows": ("A", "B-")}, {"wells": ()}, {"wells": (ome.WellPlace("A/9", 0, 0),)},
        {"acquisitions": ({"id": 1}, {"id": 1})}, {"wells": plate.wells * 2},
    ):  # fmt: skip
        from dataclasses import replace

        with pytest.raises(InputError):
            ome.dump_plate(replace(plate, **wrong), "0.5")
    for images in ([], [ome.Field("../0")], [ome.Field("0"), ome.Field("0")]):
        with pytest.raises(InputError):
            ome.dump_well(images, "0.5")


def test_a_wrong_code_is_not_taken_for_a_collection():
    with pytest.raises(NotFoundError) as caught:
        OmeCollectionDriver().open(MemoryStore(), "x")
    assert caught.value.code == Code.FORMAT_UNRECOGNISED


def packed(store, path):
    from voxarium.stores.zip_writer import ZipWriter

    with ZipWriter(path) as archive:
        for key, _ in store.list(""):
            archive.put(key, store.get(key))


def test_plates_and_collections_inside_a_zipped_file_open_in_few_requests(tmp_path, monkeypatch):
    import zipfile

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "stores"))
    from http_server import RangeServer

    plate, many = MemoryStore(), MemoryStore()
    big_plate(plate, tmp_path)
    nodes = [{"type": "multiscale", "name": "EM", "path": {"type": "zarr", "path": "./em.zarr"}}]
    group(many, "", {"type": "collection", "name": "set", "nodes": nodes})
    image(many, "em.zarr")
    packed(plate, tmp_path / "plate.ozx")
    packed(many, tmp_path / "set.ozx")
    with zipfile.ZipFile(tmp_path / "plate.ozx") as archive:
        names = archive.namelist()
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    depths = [n.count("/") for n in names if n.endswith("zarr.json")]
    assert names[0] == "zarr.json" and depths == sorted(depths)  # OX-001, OX-002
    assert voxarium.open(tmp_path / "plate.ozx")["R0/1/0"].shape == (9, 10, 11)
    assert voxarium.open(tmp_path / "set.ozx")["EM"].shape == (2, 3, 5)
    objects = {f"{n}.ozx": (tmp_path / f"{n}.ozx").read_bytes() for n in ("plate", "set")}
    with RangeServer(objects) as server:
        found = voxarium.open(f"{server.url}/plate.ozx")
        assert len(found) == 10_000 and len(server.requests) <= 4, server.requests
        opened = found["R79/125/0"]
        assert (opened.shape, len(opened.levels)) == ((9, 10, 11), 3)
        assert len(server.requests) <= 8, server.requests
        assert voxarium.open(f"{server.url}/set.ozx").keys() == ["em.zarr"]


def test_a_collection_of_the_draft_is_written_behind_its_version():
    store = MemoryStore()
    image(store, "em.zarr")
    image(store, "seg.zarr")
    info = CollectionInfo(format="ome-zarr", kind="folder", name="set", members=[
        Member("em.zarr", "EM"), Member("seg.zarr", "cells", kind="label")])  # fmt: skip
    with pytest.raises(InputError):
        OmeCollectionDriver().dump(info, "0.5")
    for key, data in OmeCollectionDriver().dump(info, "0.x").items():
        store.put(key, data)
    found = open_in(store)
    assert (found.kind, found.name, found.keys()) == ("collection", "set", ["em.zarr", "seg.zarr"])
    assert found["EM"].shape == (2, 3, 5) and found["cells"].role == "label"


def test_documents_of_containers_do_not_say_where_planes_are() -> None:
    """Rule BF-003, with and without prefixes; what is so already, or no XML, stays byte for byte."""
    found = ome.metadata_only(
        b'<o:OME xmlns:o="u"><o:Image><o:Pixels><o:Channel/><o:TiffData IFD="0"/><o:TiffData/><o:Plane/></o:Pixels>'
        b"</o:Image></o:OME>"
    )
    assert (
        found.split()
        == (
            b'<?xml version="1.0" encoding="UTF-8"?> <o:OME xmlns:o="u"> <o:Image> <o:Pixels> <o:Channel/> '
            b"<o:MetadataOnly/> <o:Plane/> </o:Pixels> </o:Image> </o:OME>"
        ).split()
    )
    assert ome.metadata_only(found) == found
    for other in (b"<a", b"<OME><Image><Pixels><MetadataOnly/></Pixels></Image></OME>", b""):
        assert ome.metadata_only(other) == other
