"""CellMap annotation crops: rules A1–A6."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.opening import open_in
from voxarium.errors import FormatError, InputError, NotFoundError
from voxarium.formats.cellmap_annotation import CellmapAnnotationDriver
from voxarium.formats.zarr2 import Zarr2Driver
from voxarium.model.image import Value
from voxarium.model.transforms import scale_translation
from voxarium.spec import cellmap_annotation as cellmap
from voxarium.stores.memory import MemoryStore

from .conftest import json_junk

DRIVER = CellmapAnnotationDriver()
KEYS = ["class_name", "class_names", "annotation_type", "encoding", "complement_counts", "type", "absent", "unknown"]
# The documents of the rule table.
CROP = json.loads(
    """{"cellmap":{"annotation":{"version":"0.1.1","name":"crop1","description":null,"created_by":["a"],
    "created_with":["amira"],"start_date":"2022-03-01","end_date":null,"duration_days":null,"protocol_uri":null,
    "class_names":["mito"]}}}"""
)
INSTANCE = json.loads(
    """{"cellmap":{"annotation":{"class_name":"mito","complement_counts":{"absent":10},
    "annotation_type":{"type":"instance_segmentation","encoding":{"absent":0}}}}}"""
)
SEMANTIC = json.loads(
    """{"cellmap":{"annotation":{"class_name":"mito",
    "annotation_type":{"type":"semantic_segmentation","encoding":{"absent":0,"present":1}}}}}"""
)
VOXELS = np.array([[[0, 0, 5, 5]], [[0, 7, 7, 0]]], np.uint8)  # 4 of 8 are absent


def ome(names="zyx"):
    levels = [
        {
            "path": "s0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [8, 4, 2]},
                {"type": "translation", "translation": [1, 2, 3]},
            ],
        }
    ]
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in names]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]}


class Crop:
    """A crop in memory, and a way to open what is in it."""

    def __init__(self):
        self.store = MemoryStore()

    def put(self, key, document):
        self.store.put(key, json.dumps(document).encode())

    def get(self, key):
        return json.loads(self.store.get(key))

    def annotate(self, path="gt/crop1/mito", group=INSTANCE, array=INSTANCE, crop=CROP, voxels=VOXELS):
        parent = path.rpartition("/")[0]
        self.put(f"{parent}/.zattrs", crop)
        own = {k: v for k, v in group["cellmap"]["annotation"].items() if k != "complement_counts"}
        self.put(f"{path}/.zgroup", {"zarr_format": 2})
        self.put(f"{path}/.zattrs", ome() | {"cellmap": {"annotation": own, "lab": 1}})
        self.put(f"{path}/s0/.zattrs", array)
        self.put(
            f"{path}/s0/.zarray",
            {
                "zarr_format": 2,
                "shape": voxels.shape,
                "chunks": voxels.shape,
                "dtype": voxels.dtype.str,
                "compressor": None,
                "fill_value": 0,
                "order": "C",
                "filters": None,
                "dimension_separator": "/",
            },
        )
        self.store.put(f"{path}/s0/0/0/0", voxels.tobytes())

    def open(self, path="gt/crop1/mito"):
        return DRIVER.open(self.store, path, lambda key: Zarr2Driver().open(self.store, key))


@pytest.fixture
def crop():
    return Crop()


def notes(image):
    return [n for r in image.bag.records if r.format == "cellmap-annotation" for n in r.notes]


class TestCellmapAnnotation:
    """Reading."""

    def test_a_class_is_a_label_image(self, crop):
        crop.annotate()
        image = crop.open()
        assert image.role == "label" and image.value.categories == {0: "absent"}
        assert scale_translation(image.levels[0].transform, 3) == ((8, 4, 2), (1, 2, 3))
        assert image.name == "mito" and image.axes[0].unit == "nanometer"
        assert image.bag.extra == {"cellmap": {"lab": 1}} and notes(image) == []
        record = image.bag.records[0]
        assert record.metadata["crop"]["created_with"] == ["amira"]
        assert record.metadata["levels"]["s0"]["annotation"]["complement_counts"] == {"absent": 10}

    def test_semantic_values_have_names(self, crop):
        crop.annotate(group=SEMANTIC, array=SEMANTIC)
        assert crop.open().value.categories == {0: "absent", 1: "present"}

    def test_crops_other_images_and_groups_are_declined(self, crop):
        crop.annotate()
        crop.put("gt/crop1/all/.zattrs", ome())
        for path in ("gt/crop1", "gt", "", "gt/crop1/all", "gt/crop1/mito/s0", "nothing"):
            with pytest.raises(NotFoundError):
                crop.open(path)

    @pytest.mark.parametrize(
        ("rule", "arguments"),
        [
            ("A1", {"crop": {"cellmap": {"annotation": CROP["cellmap"]["annotation"] | {"class_names": ["er"]}}}}),
            ("A2", {"path": "gt/crop1/er"}),
            ("A2", {"array": SEMANTIC}),
            (
                "A3",
                {
                    "array": {
                        "cellmap": {
                            "annotation": INSTANCE["cellmap"]["annotation"] | {"complement_counts": {"unknown": 3}}
                        }
                    }
                },
            ),
        ],
    )
    def test_what_breaks_a_rule_and_can_be_read_is_noted(self, crop, rule, arguments):
        crop.annotate(**arguments)
        image = crop.open(arguments.get("path", "gt/crop1/mito"))
        assert any(n.startswith(rule) for n in notes(image))

    @pytest.mark.parametrize(
        "change",
        [
            {"annotation_type": {"type": "instance_segmentation", "encoding": {"absent": 0, "present": 1}}},  # A5
            {"annotation_type": {"type": "semantic_segmentation", "encoding": {"absent": 0, "maybe": 1}}},
            {"annotation_type": {"type": "other", "encoding": {}}},
            {"annotation_type": {"type": "semantic_segmentation", "encoding": {"absent": 0.5}}},
            {"annotation_type": None},
            {"class_name": 3},
            {"class_name": ""},
        ],
    )
    def test_broken_annotations_are_an_error(self, crop, change):
        crop.annotate(group={"cellmap": {"annotation": SEMANTIC["cellmap"]["annotation"] | change}})
        with pytest.raises(FormatError):
            crop.open()

    def test_a_broken_crop_does_not_spoil_its_classes(self, crop):
        crop.annotate(crop={"cellmap": {"annotation": {"class_names": "mito"}}})
        assert any("class_names" in n for n in notes(crop.open()))

    @given(junk=json_junk(KEYS))
    @settings(max_examples=200, deadline=None)
    def test_junk_is_an_error(self, junk):
        for found in (
            junk if isinstance(junk, dict) else {"class_name": "a", "annotation_type": junk},
            {"class_name": "a", "annotation_type": {"type": "instance_segmentation", "encoding": junk}},
            {"class_name": "a", "complement_counts": junk},
        ):
            cellmap.annotation_of({"cellmap": found})
            with contextlib.suppress(FormatError):
                annotation = cellmap.parse_array(found, "x")
                if annotation is not None:
                    cellmap.class_findings(annotation, "a", {"s0": annotation})
            with contextlib.suppress(FormatError):
                cellmap.crop_findings(cellmap.parse_crop(found, "x"), ())


class TestCounts:
    """The histogram (A4, A6), and members of a crop (A1)."""

    def test_counts_are_compared_with_the_voxels(self, crop):
        crop.annotate()
        image = open_in(crop.store, "gt/crop1/mito")
        annotation = cellmap.parse_array(crop.get("gt/crop1/mito/s0/.zattrs")["cellmap"]["annotation"], "s0")
        pieces = [image.read(voxarium.Box((z, 0, 0), (1, 1, 4))) for z in range(2)]
        assert cellmap.count_findings(annotation, pieces) == ("A4: 10 voxels are stated as absent, 4 are",)

    def test_values_that_are_not_encoded_are_named_for_semantic_arrays_only(self):
        for document, expected in ((SEMANTIC, frozenset({5, 7})), (INSTANCE, frozenset())):
            annotation = cellmap.parse_array(document["cellmap"]["annotation"], "x")
            counts, foreign = cellmap.count_complement([VOXELS], annotation.type)
            assert counts == {"absent": 4} and foreign == expected
        annotation = cellmap.parse_array(SEMANTIC["cellmap"]["annotation"], "x")
        assert cellmap.count_findings(annotation, [VOXELS])[0].startswith("A6: 2 values are not encoded, such as 5, 7")

    @given(
        st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=9), min_size=1, max_size=5),
        st.permutations([0, 1, 2]),
    )
    def test_pieces_add_up(self, pieces, values):
        names = dict(zip(("unknown", "absent", "present"), values, strict=True))
        kind = cellmap.AnnotationType(kind="semantic_segmentation", encoding=names)
        flat = [v for piece in pieces for v in piece]
        counts, foreign = cellmap.count_complement([np.array(p, np.uint64) for p in pieces], kind)
        assert counts == {n: flat.count(names[n]) for n in ("unknown", "absent")}
        assert foreign == {v for v in flat if v > 2}

    def test_large_ids_are_not_rounded(self):
        kind = cellmap.AnnotationType(kind="instance_segmentation", encoding={"unknown": 2**64 - 1, "absent": 0})
        data = np.array([2**64 - 1, 2**64 - 2, 0], np.uint64)
        assert cellmap.count_complement([data], kind)[0] == {"unknown": 1, "absent": 1}

    def test_members_of_a_crop(self):
        found = cellmap.parse_crop(CROP["cellmap"]["annotation"], "crop1")
        assert cellmap.crop_findings(found, {"mito", "all"}) == ()
        assert cellmap.crop_findings(found, {"er"})[0].startswith("A1")
        other = cellmap.parse_crop({"class_names": [], "version": "9"}, "crop1")
        assert "version" in cellmap.crop_findings(other, ())[0]


class TestWriting:
    """Writing."""

    def write(self, crop, path, image, levels=True):
        DRIVER.check(image, "0.1.1")
        for level in image.levels:
            crop.put(
                f"{path}/{level.path}/.zarray",
                {
                    "zarr_format": 2,
                    "shape": level.array.shape,
                    "chunks": level.array.shape,
                    "dtype": "|u1",
                    "compressor": None,
                    "fill_value": 0,
                    "order": "C",
                    "filters": None,
                },
            )
        keys = DRIVER.touched(path, image, "0.1.1")
        existing = {k: raw for k in keys if (raw := crop.store.get(k)) is not None}
        documents = DRIVER.dump(path, image, "0.1.1", existing)
        for key, data in documents.items():
            crop.store.put(key, data)
        return documents

    def test_documents_are_those_of_the_rules(self, crop, make_image):
        image = make_image("cellmap-annotation", dtype="uint8", role="label", half_pixel=False)
        documents = self.write(crop, "recon-1/labels/groundtruth/crop1/mito", image)
        crop_annotation = crop.get("recon-1/labels/groundtruth/crop1/.zattrs")["cellmap"]["annotation"]
        assert crop_annotation.keys() == CROP["cellmap"]["annotation"].keys()
        assert (crop_annotation["name"], crop_annotation["class_names"]) == ("crop1", ["mito"])
        group = crop.get("recon-1/labels/groundtruth/crop1/mito/.zattrs")
        kind = {"type": "instance_segmentation", "encoding": {"absent": 0}}
        assert group["cellmap"]["annotation"] == {"class_name": "mito", "annotation_type": kind}
        assert group["multiscales"][0]["version"] == "0.4"
        array = crop.get("recon-1/labels/groundtruth/crop1/mito/s1/.zattrs")
        assert array == {
            "cellmap": {"annotation": {"class_name": "mito", "complement_counts": None, "annotation_type": kind}}
        }
        assert {"recon-1/.zgroup", ".zgroup", "recon-1/labels/groundtruth/crop1/.zgroup"} <= documents.keys()
        assert list(documents)[-1] == "recon-1/labels/groundtruth/crop1/mito/.zattrs"
        back = crop.open("recon-1/labels/groundtruth/crop1/mito")
        assert [lv.transform for lv in back.levels] == [lv.transform for lv in image.levels] and notes(back) == []

    def test_a_crop_lists_each_class_once(self, crop, make_image):
        image = make_image("cellmap-annotation", dtype="uint8", role="label")
        crop.put("gt/crop1/.zattrs", CROP | {"mine": 1})
        for name in ("er", "mito", "er"):
            self.write(crop, f"gt/crop1/{name}", image)
        found = crop.get("gt/crop1/.zattrs")
        assert found["cellmap"]["annotation"] == CROP["cellmap"]["annotation"] | {"class_names": ["mito", "er"]}
        assert found["mine"] == 1

    def test_what_was_read_is_written_again(self, crop):
        crop.annotate(
            group=SEMANTIC,
            array={"cellmap": {"annotation": SEMANTIC["cellmap"]["annotation"] | {"complement_counts": {"absent": 4}}}},
        )
        self.write(crop, "gt/crop7/mito", crop.open())
        assert crop.get("gt/crop7/.zattrs")["cellmap"]["annotation"] == (
            CROP["cellmap"]["annotation"] | {"name": "crop7", "class_names": ["mito"]}
        )
        assert crop.get("gt/crop7/mito/s0/.zattrs") == crop.get("gt/crop1/mito/s0/.zattrs")
        assert crop.get("gt/crop7/mito/.zattrs")["cellmap"] == (SEMANTIC["cellmap"] | {"lab": 1})

    def test_counts_do_not_outlive_their_voxels(self, crop, make_image):
        crop.annotate()
        image = crop.open()
        other = make_image("cellmap-annotation", dtype="uint8", role="label", bag=image.bag)
        self.write(crop, "gt/crop7/mito", other)
        assert crop.get("gt/crop7/mito/s0/.zattrs")["cellmap"]["annotation"]["complement_counts"] is None

    def test_categories_make_it_semantic(self, crop, make_image):
        value = Value(categories={2: "unknown", 0: "absent", 1: "present"})
        self.write(crop, "gt/crop1/er", make_image("cellmap-annotation", dtype="uint8", role="label", value=value))
        kind = crop.get("gt/crop1/er/.zattrs")["cellmap"]["annotation"]["annotation_type"]
        assert kind == {"type": "semantic_segmentation", "encoding": {"unknown": 2, "absent": 0, "present": 1}}

    def test_what_is_no_label_image_is_refused(self, make_image):
        for image in (make_image("x"), make_image("x", role="label", dtype="float32")):
            with pytest.raises((InputError, voxarium.VoxariumError)):
                DRIVER.check(image, "0.1.1")

    def test_targets_are_split_at_the_zarr_or_around_the_crop(self):
        assert DRIVER.split("/d/x.zarr/recon-1/crop1/er") == ("/d/x.zarr", "recon-1/crop1/er")
        assert DRIVER.split("/d/gt/crop1/er") == ("/d/gt", "crop1/er")
        assert DRIVER.split("/d/x.zarr") == ("/d/x.zarr", "")
        assert DRIVER.split("/er") == ("/er", "")

    def test_a_class_is_converted(self, tmp_path):
        crop_path = tmp_path / "x.zarr" / "gt" / "crop1"
        np.save(tmp_path / "a.npy", np.repeat(VOXELS, 4, axis=1))
        options = {"axes": ("z", "y", "x"), "voxel_size": (8, 4, 2), "unit": "nanometer", "levels": 1, "role": "label"}
        voxarium.convert(tmp_path / "a.npy", crop_path / "er", format="cellmap-annotation", **options)
        image = voxarium.open(crop_path / "er")
        assert image.info.format == "cellmap-annotation" and (image[:, 0, :] == VOXELS[:, 0, :]).all()
        dataset = voxarium.open(crop_path)
        assert dataset.keys() == ("er",) or list(dataset.keys()) == ["er"]
