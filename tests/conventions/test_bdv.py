"""BigDataViewer: chains of matrices in an XML, factors in N5 or HDF5, half a voxel nobody mentions."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.bdv import BdvDriver
from voxarium.formats.bdv_hdf5 import BdvHdf5Driver
from voxarium.formats.hdf5 import Hdf5Driver
from voxarium.model.transforms import Affine, scale_translation
from voxarium.model.xml_tree import parse_xml
from voxarium.spec.bdv import layout as bdv_layout
from voxarium.spec.bdv import xml as bdv_xml
from voxarium.stores.local import LocalStore

from .conftest import World, json_junk, world_points

DRIVER = BdvDriver()
HDF5 = BdvHdf5Driver()
FACTORS = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]  # (x, y, z)
SHAPES = [(7, 20, 31), (7, 10, 16), (4, 5, 8)]
# x' = 0.5 y + 7, y' = 0.25 x + 8, z' = 2 z + 9 of voxels of 1 × 1 × 1
SWAP = "0 0.5 0 7  0.25 0 0 8  0 0 2 9"


def xml(*transforms, loader="bdv.n5", container="ds.n5", base=".", setups=(0,), times="<first>0</first><last>0</last>"):
    tag = "hdf5" if "hdf5" in loader else "n5"
    chain = "".join(f"<ViewTransform type='affine'><affine>{t}</affine></ViewTransform>" for t in transforms)
    views = "".join(
        f"<ViewSetup><id>{s}</id><name>tile {s}</name><size>31 20 7</size>"
        "<voxelSize><unit>um</unit><size>0.5 0.25 2</size></voxelSize></ViewSetup>"
        for s in setups
    )
    registrations = "".join(f"<ViewRegistration timepoint='0' setup='{s}'>{chain}</ViewRegistration>" for s in setups)
    return (
        f"<SpimData version='0.2'><BasePath type='relative'>{base}</BasePath><SequenceDescription>"
        f"<ImageLoader format='{loader}'><{tag} type='relative'>{container}</{tag}></ImageLoader>"
        f"<ViewSetups>{views}</ViewSetups><Timepoints type='range'>{times}</Timepoints></SequenceDescription>"
        f"<ViewRegistrations>{registrations}</ViewRegistrations></SpimData>"
    ).encode()


def put_view(world, view="setup0/timepoint0", container="ds.n5/", **timepoint):
    for i, shape in enumerate(SHAPES):
        world.array(f"{container}{view}/s{i}", shape, "uint16")
    world.put(container + view, {"multiScale": True} | timepoint)
    world.put(container + view.split("/")[0], {"downsamplingFactors": FACTORS, "dataType": "uint16"})


class TestBdv:
    """Reading N5."""

    def test_the_last_transform_listed_is_applied_first(self, world):
        put_view(world)
        scale, shift = "0.5 0 0 0  0 0.25 0 0  0 0 2 0", "1 0 0 100  0 1 0 200  0 0 1 300"
        world.store.put("ds.xml", xml(shift, scale))
        image = world.open(DRIVER, "ds.xml")
        assert [lv.path for lv in image.levels] == [f"../ds.n5/setup0/timepoint0/s{i}" for i in range(3)]
        assert scale_translation(image.levels[0].transform, 3) == ((2, 0.25, 0.5), (300, 200, 100))
        # half a voxel of what was averaged: (4 − 1)/2 × 0.5 in x, (4 − 1)/2 × 0.25 in y, (2 − 1)/2 × 2 in z
        assert scale_translation(image.levels[2].transform, 3) == ((4, 1, 2), (301, 200.375, 100.75))
        assert [(a.name, a.unit) for a in image.axes] == [(n, "micrometer") for n in "zyx"]
        assert image.name == "tile 0" and image.bag.records[0].header == xml(shift, scale)
        assert image.edges[0].original["ViewTransforms"][0]["affine"][3] == 100

    def test_rotations_are_kept(self, world):
        put_view(world)
        world.store.put("ds.xml", xml(SWAP))
        image = world.open(DRIVER, "ds.xml")
        # voxel (z, y, x) = (1, 2, 3)
        assert image.levels[0].transform.apply((1, 2, 3)).tolist() == [11, 8.75, 8]
        # of level 2 it is (2.5, 9.5, 13.5) of level 0
        assert image.levels[2].transform.apply((1, 2, 3)).tolist() == [14, 11.375, 11.75]
        assert isinstance(image.levels[0].transform, Affine)

    def test_registrations_in_voxels_have_no_unit(self, world):
        """Programs that register in voxels write the voxel size beside, which does not make their world micrometres."""
        put_view(world)
        world.store.put("ds.xml", xml("1 0 0 0  0 1 0 0  0 0 8 0"))
        image = world.open(DRIVER, "ds.xml")
        assert {a.unit for a in image.axes} == {None}
        assert any("not in um" in n for n in image.bag.records[0].notes)
        edge = next(e for e in image.edges if e.role == "bdv:voxelSize")
        assert scale_translation(edge.transform, 3) == ((2, 0.25, 0.5), (0, 0, 0))

    def test_a_view_finds_the_xml_beside_its_container(self, world):
        put_view(world)
        world.store.put("ds.xml", xml("0.5 0 0 1  0 0.25 0 2  0 0 2 3"))
        for path in ("ds.n5/setup0/timepoint0", "ds.n5"):
            image = world.open(DRIVER, path)
            assert scale_translation(image.levels[0].transform, 3) == ((2, 0.25, 0.5), (3, 2, 1))

    def test_an_xml_of_another_container_or_a_broken_one_does_not_count(self, world):
        put_view(world, resolution=[4, 5, 30])
        for raw in (xml(SWAP, container="other.n5"), b"<SpimData", b"<html></html>"):
            world.store.put("ds.xml", raw)
            image = world.open(DRIVER, "ds.n5")
            assert scale_translation(image.levels[1].transform, 3) == ((30, 10, 8), (0, 2.5, 2))
            assert any("XML" in n for n in image.bag.records[0].notes)

    def test_several_views_are_named_by_the_error(self, world):
        put_view(world)
        put_view(world, "setup3/timepoint0")
        world.store.put("ds.xml", xml(SWAP, setups=(0, 3)))
        with pytest.raises(NotFoundError) as caught:
            world.open(DRIVER, "ds.xml")
        assert caught.value.code == Code.FORMAT_UNRECOGNISED and "ds.xml::setup3/timepoint0" in caught.value.fix
        assert world.open(DRIVER, "ds.xml::setup3/timepoint0").name == "tile 3"
        assert world.open(DRIVER, "ds.xml::/t00000/s03").name == "tile 3"
        with pytest.raises(NotFoundError) as missing:
            world.open(DRIVER, "ds.xml::setup1/timepoint0")
        assert missing.value.code == Code.PATH_MISSING
        with pytest.raises(NotFoundError):  # the container is a folder of images
            world.open(DRIVER, "ds.n5")

    def test_containers_that_cannot_be_listed(self, world):
        put_view(world)

        class Blind:
            def __init__(self, store):
                self.uri, self.concurrency, self.get = store.uri, 1, store.get

        image = DRIVER.open(Blind(world.store), "ds.n5", world.open_array)
        assert len(image.levels) == 3
        put_view(world, "setup0/timepoint1")
        with pytest.raises(NotFoundError):
            DRIVER.open(Blind(world.store), "ds.n5", world.open_array)

    def test_other_folders_are_declined(self, world):
        world.array("em/s0", (3, 4, 5), downsamplingFactors=[1, 1, 1])
        world.put("em/setup0", {"a": 1})
        world.store.put("notes.xml", b"<notes/>")
        for path in ("", "em", "em/s0", "notes.xml", "no.xml", "a.h5", "a.h5::/x", "em/setup0/timepoint0"):
            with pytest.raises(NotFoundError):
                world.open(DRIVER, path)

    @pytest.mark.parametrize("container", ["/etc/ds.n5", "../ds.n5", "a/../../ds.n5", "file:///x", "..\\ds.n5"])
    def test_the_xml_cannot_lead_out_of_its_folder(self, world, container):
        world.store.put("ds.xml", xml(SWAP, container=container))
        with pytest.raises(UnsupportedError, match="outside"):
            world.open(DRIVER, "ds.xml")

    def test_the_xml_may_lead_within_what_was_opened(self, world):
        put_view(world, container="data/ds.n5/")
        world.store.put("xml/a.xml", xml(SWAP, container="../data/./ds.n5", base="."))
        world.store.put("b.xml", xml(SWAP, base="data"))
        assert world_points(world.open(DRIVER, "xml/a.xml")) == world_points(world.open(DRIVER, "b.xml"))

    def test_kinds_of_containers_that_are_not_known_are_named(self, world):
        world.store.put("ds.xml", xml(SWAP, loader="spimreconstruction.filemap2"))
        with pytest.raises(UnsupportedError, match="filemap2"):
            world.open(DRIVER, "ds.xml")

    def test_views_that_are_not_there_are_an_error(self, world):
        world.store.put("ds.xml", xml(SWAP))
        with pytest.raises(FormatError) as caught:
            world.open(DRIVER, "ds.xml")
        assert caught.value.code == Code.LEVEL_MISSING

    def test_factors_must_be_there_for_every_level(self, world):
        put_view(world)
        for factors in ([[1, 1, 1]], [[1, 1], [2, 2], [4, 4]], [[1, 1, 0]] * 3, [["a"] * 3] * 3):
            world.put("ds.n5/setup0", {"downsamplingFactors": factors, "dataType": "uint16"})
            with pytest.raises(FormatError):
                world.open(DRIVER, "ds.n5")


class TestXml:
    """The document."""

    @pytest.mark.parametrize(
        "bomb",
        [
            b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
            b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]><a/>',
            b"<a>&unknown;</a>",
            b"<a>" * 100 + b"</a>" * 100,
            b"<a><b></a>",
            b"",
            b"\xff\xfe<a/>",
            b"<?xml version='1.0' encoding='nonsense'?><a/>",
        ],
    )
    def test_entities_document_types_and_junk_are_refused(self, bomb):
        with pytest.raises(FormatError):
            parse_xml(bomb, "bomb.xml")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("<Timepoints type='range'><first>2</first><last>4</last></Timepoints>", (2, 3, 4)),
            (
                "<Timepoints type='pattern'><integerpattern>0, 3-5, 10-16:3</integerpattern></Timepoints>",
                (0, 3, 4, 5, 10, 13, 16),
            ),
            ("<Timepoints type='pattern'><integerpattern/></Timepoints>", (0,)),
            ("", (0,)),
        ],
    )
    def test_time_points(self, text, expected):
        document = xml(SWAP).decode()
        start, stop = document.index("<Timepoints"), document.index("</SequenceDescription>")
        data = bdv_xml.parse_spim_data((document[:start] + text + document[stop:]).encode(), "a.xml")
        assert data.timepoints == expected

    @pytest.mark.parametrize(
        "times",
        [
            "<first>0</first><last>999999999</last>",
            "<first>5</first><last>1</last>",
            "<first>-1</first><last>1</last>",
            "<first>٣</first><last>٤</last>",
            "<first>1e3</first><last>2</last>",
        ],
    )
    def test_absurd_time_points_are_an_error(self, times):
        with pytest.raises(FormatError):
            bdv_xml.parse_spim_data(xml(SWAP, times=times), "a.xml")

    def test_absurd_numbers_of_views_are_an_error(self):
        data = bdv_xml.parse_spim_data(
            xml(SWAP, setups=range(200), times="<first>0</first><last>99999</last>"), "a.xml"
        )
        with pytest.raises(FormatError):
            data.views()

    @pytest.mark.parametrize("affine", ["1 2 3", "nan " * 12, "1e999 " * 12, "x " * 12, ""])
    def test_broken_matrices_are_an_error(self, affine):
        with pytest.raises(FormatError):
            bdv_xml.parse_spim_data(xml(affine), "a.xml")

    def test_matrices_that_overflow_are_an_error(self, world):
        put_view(world)
        world.store.put("ds.xml", xml(*["1e200 0 0 0 0 1e200 0 0 0 0 1e200 0"] * 3))
        with pytest.raises(FormatError):
            world.open(DRIVER, "ds.xml")

    @given(st.binary(max_size=60), st.integers(0, 600), st.integers(0, 30))
    @settings(max_examples=200, deadline=None)
    def test_damaged_documents_are_read_or_refused(self, junk, at, cut):
        document = xml(SWAP)
        with contextlib.suppress(FormatError):
            data = bdv_xml.parse_spim_data(document[:at] + junk + document[at + cut :], "a.xml")
            if data is not None:
                data.views()
                data.matrix(0, 0)

    @given(junk=json_junk(["downsamplingFactors", "dataType", "resolution", "pixelResolution", "affineTransform"]))
    @settings(max_examples=150, deadline=None)
    def test_junk_attributes_are_read_or_refused(self, junk):
        attributes = junk if isinstance(junk, dict) else {"downsamplingFactors": junk, "dataType": "uint8"}
        with contextlib.suppress(FormatError):
            factors = bdv_layout.n5_factors(attributes, {"s0": attributes})
            place = bdv_layout.own_placement(attributes, attributes)
            if factors is not None:
                bdv_layout.stated_image([("s0", factors[0])], place, {})


class TestHdf5:
    """Reading HDF5."""

    def open_array(self, store):
        return lambda key: Hdf5Driver().open(store, key)

    @pytest.mark.parametrize(
        ("name", "size", "unit"), [("t_bdv", (0.04, 0.004, 0.004), "micrometer"), ("n_bdv", (1, 1, 1), None)]
    )
    def test_files_of_pybdv_and_npy2bdv(self, shared, name, size, unit):
        """npy2bdv states a voxel size and registers without it: its world is in voxels."""
        h5py = pytest.importorskip("h5py")
        store = LocalStore(shared / "neuro/h5_generated")
        image = HDF5.open(store, f"{name}.xml", self.open_array(store))
        assert [lv.array.shape for lv in image.levels] == [(24, 40, 48), (12, 20, 24)]
        assert [lv.path for lv in image.levels] == [f"../{name}.h5::/t00000/s00/{i}/cells" for i in (0, 1)]
        scale, shift = scale_translation(image.levels[1].transform, 3)
        assert np.allclose(scale, 2 * np.array(size)) and np.allclose(shift, 0.5 * np.array(size))
        assert image.axes[0].unit == unit
        inside = HDF5.open(store, f"{name}.h5::/t00000/s00", self.open_array(store))
        assert world_points(inside) == world_points(image)
        assert [lv.path for lv in inside.levels] == ["0/cells", "1/cells"]
        with h5py.File(shared / f"neuro/h5_generated/{name}.h5") as file:
            stored = file["t00000/s00/0/cells"].dtype
            assert image.levels[0].array.dtype == {"int16": "uint16"}.get(stored.name, stored.name)
        bare = HDF5.open(store, f"{name}.h5", self.open_array(store))
        assert world_points(bare) == world_points(image)

    def test_broken_files_are_an_error(self, tmp_path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["s00/resolutions"] = np.ones((2, 4))
        store = LocalStore(tmp_path)
        store.put("ds.xml", xml(SWAP, loader="bdv.hdf5", container="a.h5"))
        with pytest.raises(FormatError, match="resolutions"):
            HDF5.open(store, "ds.xml", self.open_array(store))
        (tmp_path / "a.h5").write_bytes(b"junk")
        for path in ("ds.xml", "a.h5::/t00000/s00"):
            with pytest.raises(FormatError):
                HDF5.open(store, path, self.open_array(store))


def bigdataviewer(world, key):
    """Return voxel centre → world, (x, y, z), of every level, as BigDataViewer composes it from XML and N5."""
    root = ET.fromstring(world.store.get(key))
    container = root.find("SequenceDescription/ImageLoader[@format='bdv.n5']/n5[@type='relative']").text
    folder = root.find("BasePath").text
    assert folder == "."
    container = "" if container == "." else container + "/"
    setup = root.find("SequenceDescription/ViewSetups/ViewSetup")
    matrix = np.eye(4)
    for element in root.findall("ViewRegistrations/ViewRegistration/ViewTransform/affine"):
        matrix = matrix @ np.vstack([np.array(element.text.split(), float).reshape(3, 4), [0, 0, 0, 1]])
    own = world.get(f"{container}setup0")
    out = []
    for i, f in enumerate(own["downsamplingFactors"]):
        array = world.get(f"{container}setup0/timepoint0/s{i}")
        assert array["dataType"] == own["dataType"]
        if i == 0:
            assert setup.find("size").text.split() == [str(n) for n in array["dimensions"]]
        mipmap = np.diag([*f, 1.0])
        mipmap[:3, 3] = [0.5 * (k - 1) for k in f]
        out.append(matrix @ mipmap)
    return out, setup.find("voxelSize/unit").text, setup.find("voxelSize/size").text


class TestWriting:
    """Writing."""

    @pytest.mark.parametrize(
        ("path", "key"), [("ds.n5/setup0/timepoint0", "ds.xml"), ("setup0/timepoint0", "dataset.xml")]
    )
    def test_bigdataviewer_finds_every_level(self, world, make_image, path, key):
        image = make_image("bdv", start=(7.0, -5.0, 0.25), path="s{}", name="em & <more>")
        documents = world.write(DRIVER, path, image)
        assert list(documents)[-1] == key
        found, unit, size = bigdataviewer(world, key)
        assert unit == "nm" and size == "4.0 5.24 40.0"
        for level, matrix in zip(image.levels, found, strict=True):
            assert np.allclose((matrix @ [3, 2, 1, 1])[2::-1], level.transform.apply((1, 2, 3)), rtol=1e-12)
        back = world.open(DRIVER, key)
        assert np.allclose(world_points(back), world_points(image)) and back.name == "em & <more>"
        assert back.axes == image.axes

    @given(
        size=st.tuples(*[st.floats(0.01, 1000)] * 3),
        start=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        step=st.tuples(*[st.sampled_from([1, 2, 3])] * 3),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_place_survives_the_loss_of_the_xml(self, make_image, size, start, step):
        world = World()
        image = make_image("bdv", size=size, start=start, factors=((1, 1, 1), step), path="s{}")
        world.write(DRIVER, "ds.n5/setup0/timepoint0", image)
        world.store.delete("ds.xml")
        back = world.open(DRIVER, "ds.n5")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-9, atol=1e-6)
        assert back.axes == image.axes
        assert [lv.path for lv in back.levels] == [f"setup0/timepoint0/{lv.path}" for lv in image.levels]

    def test_rotated_images_are_written(self, world, make_image):
        from dataclasses import replace

        image = make_image("bdv", path="s{}")
        turn = Affine(((0, 1, 0, 5), (1, 0, 0.5, 6), (0, 0, 2, 7)))
        image = replace(image, levels=tuple(replace(lv, transform=lv.transform.then(turn)) for lv in image.levels))
        world.write(DRIVER, "ds.n5/setup0/timepoint0", image)
        assert np.allclose(world_points(world.open(DRIVER, "ds.xml")), world_points(image))
        world.store.delete("ds.xml")
        assert np.allclose(world_points(world.open(DRIVER, "ds.n5")), world_points(image))

    def test_targets_are_split_where_the_xml_goes(self):
        view = "setup0/timepoint0"
        assert DRIVER.split(DRIVER.expanded("/data/ds.n5")) == ("/data", f"ds.n5/{view}")
        assert DRIVER.split(DRIVER.expanded("s3://bucket/ds.n5")) == ("s3://bucket", f"ds.n5/{view}")
        assert DRIVER.split(DRIVER.expanded("/data/folder")) == ("/data/folder", view)
        assert DRIVER.split(DRIVER.expanded("s3://ds.n5")) == ("s3://ds.n5", view)
        assert DRIVER.split("/data/ds.n5/setup3/timepoint10/") == ("/data", "ds.n5/setup3/timepoint10")

    def test_an_xml_of_something_else_is_not_replaced(self, world, make_image):
        image = make_image("bdv", path="s{}")
        world.write(DRIVER, "ds.n5/setup0/timepoint0", image)
        world.write(DRIVER, "ds.n5/setup0/timepoint0", image)  # its own it may replace
        for raw in (xml(SWAP, loader="bdv.hdf5"), xml(SWAP, container="other.n5"), b"<notes/>", b"junk"):
            world.store.put("ds.xml", raw)
            with pytest.raises(ExistsError) as caught:
                world.write(DRIVER, "ds.n5/setup0/timepoint0", image)
            assert caught.value.code == Code.TARGET_EXISTS

    def test_what_cannot_be_held_is_refused(self, make_image):
        flat = make_image(
            "bdv", names="yx", units=(None, None), factors=((1, 1),), size=(2.0, 3.0), shape=(4, 5), start=(0.0, 0.0)
        )
        for image in (flat, make_image("bdv", half_pixel=False), make_image("bdv", names="xyz")):
            with pytest.raises(InputError):
                DRIVER.check(image, "1")
