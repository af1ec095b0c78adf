"""HDF5 datasets: storage layouts, links, attributes, hostile files."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.codecs.hdf5_filters import decode_filters
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.hdf5 import Hdf5Driver
from voxarium.model.box import Box
from voxarium.model.transforms import Scale, Sequence, Translation
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = (np.arange(11 * 13 * 17) % 241).reshape(11, 13, 17)


def write(folder: Path, name: str = "a.h5", path: str = "em", data=DATA, attrs=None, **options):
    with h5py.File(folder / name, "a") as file:
        dataset = file.create_dataset(path, data=data, **options)
        dataset.attrs.update(attrs or {})


LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (4, 5, 6)},
    "gzip": {"chunks": (4, 5, 6), "compression": "gzip"},
    "gzip+shuffle": {"chunks": (4, 5, 6), "compression": "gzip", "shuffle": True},
    "all three": {"chunks": (4, 5, 6), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "checksum": {"chunks": (4, 5, 6), "fletcher32": True},
    "odd checksum": {"chunks": (3, 5, 7), "fletcher32": True},
    "lzf": {"chunks": (4, 5, 6), "compression": "lzf"},
    "scaleoffset": {"chunks": (4, 5, 6), "scaleoffset": 0},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">i4", "<u8"])
def test_every_layout_and_type(tmp_path, reads_like, layout, dtype):
    write(tmp_path, data=DATA.astype(dtype), **LAYOUTS[layout])
    info = reads_like(Hdf5Driver(), "a.h5::/em", DATA.astype(dtype))
    if "chunks" in LAYOUTS[layout]:
        assert info.chunk_shape == LAYOUTS[layout]["chunks"]


@pytest.mark.parametrize("dtype", ["?", "<f2", ">f4", "<f8", "<c8", "<i8"])
@pytest.mark.parametrize("layout", ["contiguous", "gzip+shuffle"])
def test_further_types(tmp_path, reads_like, dtype, layout):
    write(tmp_path, data=DATA.astype(dtype), **LAYOUTS[layout])
    reads_like(Hdf5Driver(), "a.h5::em", DATA.astype(dtype))


def test_enumerations_are_integers(tmp_path, reads_like):
    kind = h5py.enum_dtype({"bg": 0, "cell": 7}, basetype="u1")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("em", data=DATA.astype("u1"), dtype=kind)
    info = reads_like(Hdf5Driver(), "a.h5", DATA.astype("u1"))
    assert info.dtype.metadata is None


@pytest.mark.parametrize("layout", ["contiguous", "gzip"])
def test_user_block(tmp_path, reads_like, layout):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file.create_dataset("em", data=DATA.astype("u2"), **LAYOUTS[layout])
    reads_like(Hdf5Driver(), "a.mat::/em", DATA.astype("u2"))


def test_chunks_never_written_are_the_fill_value(tmp_path, reads_like):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("em", (9, 10, 11), "u2", chunks=(4, 4, 4), fillvalue=7, compression="gzip")
        dataset[:4, :4, :4] = 3
        expected = dataset[...]
        file.create_dataset("never", (9, 10), "u2", fillvalue=5)
    info = reads_like(Hdf5Driver(), "a.h5::em", expected)
    assert info.fill_value == 7
    reads_like(Hdf5Driver(), "a.h5::never", np.full((9, 10), 5, "u2"))


def test_one_thin_slice_of_large_chunks(tmp_path, reads_like):
    write(
        tmp_path,
        data=np.arange(64**3, dtype="u4").reshape(64, 64, 64),
        chunks=(32, 32, 32),
        compression="gzip",
    )
    reads_like(Hdf5Driver(), "a.h5", np.arange(64**3, dtype="u4").reshape(64, 64, 64))


def test_bare_file_with_one_image(tmp_path, reads_like):
    write(tmp_path, path="deep/er/image", data=DATA.astype("u1"))
    write(tmp_path, path="names", data=np.array([b"a", b"b"]))
    write(tmp_path, path="table", data=np.arange(5))
    write(tmp_path, path="records", data=np.zeros((3, 3), [("x", "u1")]))
    reads_like(Hdf5Driver(), "a.h5", DATA.astype("u1"))
    reads_like(Hdf5Driver(), "a.h5::/deep", DATA.astype("u1"))


def test_bare_file_with_several_images_lists_them(tmp_path, store):
    write(tmp_path, path="raw", data=DATA.astype("u1"))
    write(tmp_path, path="labels", data=DATA.astype("u8"))
    with pytest.raises(InputError) as caught:
        Hdf5Driver().open(store, "a.h5")
    for text in ("/raw (11, 13, 17) uint8", "/labels (11, 13, 17) uint64"):
        assert text in caught.value.message
    assert "a.h5::/" in caught.value.fix


def test_file_without_any_image(tmp_path, store):
    write(tmp_path, path="numbers", data=np.arange(3))
    with pytest.raises(InputError, match=r"0 datasets.*numbers"):
        Hdf5Driver().open(store, "a.h5")


def test_wrong_name_tells_what_is_there(tmp_path, store):
    write(tmp_path, path="volumes/raw")
    for path in ("a.h5::/volumes/rwa", "a.h5::/volumes/raw/more", "a.h5::x"):
        with pytest.raises(NotFoundError) as caught:
            Hdf5Driver().open(store, path)
        assert caught.value.code == Code.PATH_MISSING
    with pytest.raises(NotFoundError) as caught:
        Hdf5Driver().open(store, "a.h5::/volumes/rwa")
    assert "raw" in caught.value.fix


@pytest.mark.parametrize("path", ["", "a.txt", "a.txt::/em", "absent.h5", "absent.h5::/em", "folder", "x.zip::/em"])
def test_declines_what_is_not_hdf5(tmp_path, store, path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotFoundError) as caught:
        Hdf5Driver().open(store, path)
    assert caught.value.code == Code.METADATA_MISSING


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((2, 3), [("x", "u1"), ("y", "f4")]),
        np.array([[b"a", b"b"]]),
        h5py.Empty("f4"),
        np.zeros((2, 2), "V5"),
    ],
)
def test_other_than_numbers_is_refused(tmp_path, store, data):
    write(tmp_path, data=data)
    with pytest.raises(UnsupportedError) as caught:
        Hdf5Driver().open(store, "a.h5::em")
    assert caught.value.code == Code.DTYPE_UNSUPPORTED


# ----------------------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("layout", ["contiguous", "gzip"])
def test_cut_off_file_is_noticed(tmp_path, store, share, layout):
    write(tmp_path, data=DATA.astype("u8"), **LAYOUTS[layout])
    raw = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(FormatError) as caught:
        Hdf5Driver().open(store, "a.h5::em")
    assert caught.value.code == Code.FILE_TRUNCATED
    assert "a.h5" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"x" * 5000, gzip.compress(b"x" * 5000, mtime=0)])
def test_file_that_is_no_hdf5_in_spite_of_its_name(tmp_path, store, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        Hdf5Driver().open(store, "a.h5::em")
    assert caught.value.fix


def test_corrupt_chunk_is_located(tmp_path, store):
    write(tmp_path, data=DATA.astype("u2"), chunks=(11, 13, 17), compression="gzip")
    with h5py.File(tmp_path / "a.h5") as file:
        where = file["em"].id.get_chunk_info(0)
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[where.byte_offset + 10 : where.byte_offset + where.size - 10] = b"\xff" * (where.size - 20)
    (tmp_path / "a.h5").write_bytes(raw)
    info = Hdf5Driver().open(store, "a.h5")
    with pytest.raises(FormatError, match=r"a\.h5.*chunk at \(0, 0, 0\)"):
        Hdf5Driver().read_chunk(store, "a.h5", info, Box.whole(info.shape))


def test_flipped_bit_under_checksum_is_noticed(tmp_path, store):
    write(tmp_path, data=DATA.astype("u2"), chunks=(11, 13, 17), fletcher32=True)
    with h5py.File(tmp_path / "a.h5") as file:
        where = file["em"].id.get_chunk_info(0)
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[where.byte_offset + 100] ^= 1
    (tmp_path / "a.h5").write_bytes(raw)
    info = Hdf5Driver().open(store, "a.h5")
    with pytest.raises(FormatError) as caught:
        Hdf5Driver().read_chunk(store, "a.h5", info, Box.whole(info.shape))
    assert caught.value.code == Code.CHECKSUM_MISMATCH


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_files_give_our_errors_only(tmp_path, store, changes):
    if not (tmp_path / "good.h5").exists():
        write(
            tmp_path,
            "good.h5",
            data=DATA.astype("u1"),
            chunks=(4, 5, 6),
            compression="gzip",
            attrs={"a": "b"},
        )
    raw = bytearray((tmp_path / "good.h5").read_bytes())
    for at, value in changes:
        raw[at % len(raw)] = value
    (tmp_path / "bad.h5").write_bytes(raw)
    try:
        info = Hdf5Driver().open(store, "bad.h5::em")
        if info.shape == DATA.shape:
            Hdf5Driver().read_chunk(store, "bad.h5::em", info, Box.whole(info.shape))
    except VoxariumError:
        pass


@given(st.binary(max_size=80), st.lists(st.sampled_from([(1, 4), (2, 2), (2, 4), (3, 0)]), max_size=3))
def test_any_payload_gives_bytes_or_a_format_error(payload, filters):
    with contextlib.suppress(FormatError):
        assert decode_filters(payload, tuple(filters), 0, 24).nbytes == 24


def test_inflation_is_bounded():
    bomb = __import__("zlib").compress(bytes(10_000_000))
    with pytest.raises(FormatError):
        decode_filters(bomb, ((1, 6),), 0, 1000)


def test_filters_without_fast_inflate(monkeypatch, tmp_path, reads_like):
    from voxarium.codecs import hdf5_filters

    monkeypatch.setattr(hdf5_filters, "_zlibng", lambda: None)
    write(tmp_path, data=DATA.astype("u2"), **LAYOUTS["all three"])
    reads_like(Hdf5Driver(), "a.h5", DATA.astype("u2"))
    with pytest.raises(FormatError):
        decode_filters(b"x\x9c\x03", ((1, 6),), 0, 1000)
    with pytest.raises(FormatError):
        decode_filters(__import__("zlib").compress(bytes(100_000)), ((1, 6),), 0, 1000)


# ------------------------------------------------------------------------------------------------------ links
def test_soft_and_inner_external_links_are_followed(tmp_path, reads_like):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "b.h5", "group/em", DATA.astype("u1"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["far"] = h5py.ExternalLink("sub/b.h5", "/group")
        file["soft"] = h5py.SoftLink("/far/em")
        file.create_group("g")["relative"] = h5py.SoftLink("../nothing")
        file["g/up"] = h5py.SoftLink("/soft")
    for path in ("a.h5::/far/em", "a.h5::/soft", "a.h5::/g/up"):
        reads_like(Hdf5Driver(), path, DATA.astype("u1"))


@pytest.mark.parametrize("target", ["/etc/outside.h5", "../outside.h5", "sub/../../outside.h5", "..\\outside.h5"])
def test_links_out_of_the_folder_are_refused(tmp_path, store, target):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["em"] = h5py.ExternalLink(target, "/em")
    with pytest.raises(UnsupportedError, match="outside"):
        Hdf5Driver().open(store, "a.h5::em")


def test_circular_links_end(tmp_path, store):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = h5py.SoftLink("/b")
        file["b"] = h5py.SoftLink("/a")
        file["em"] = DATA
        file["back"] = file["/"]
    with pytest.raises(FormatError, match="circle"):
        Hdf5Driver().open(store, "a.h5::/a")
    assert Hdf5Driver().open(store, "a.h5").shape == DATA.shape


def test_raw_files_outside_are_refused(tmp_path, store):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("em", (2, 5), "u1", external=[("/etc/hostname", 0, 10)])
    with pytest.raises(UnsupportedError, match="hostname"):
        Hdf5Driver().open(store, "a.h5::em")


def _virtual(folder: Path, source: str) -> None:
    layout = h5py.VirtualLayout((2, *DATA.shape), "u1")
    layout[0] = h5py.VirtualSource(source, "em", DATA.shape)
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_virtual_dataset("em", layout, fillvalue=9)


def test_virtual_datasets_need_their_sources(tmp_path, store, reads_like):
    write(tmp_path, "source.h5", "em", DATA.astype("u1"))
    _virtual(tmp_path, "source.h5")
    expected = np.stack([DATA.astype("u1"), np.full(DATA.shape, 9, "u1")])
    info = reads_like(Hdf5Driver(), "v.h5", expected)
    del info
    (tmp_path / "source.h5").unlink()
    with pytest.raises(NotFoundError, match=r"source\.h5"):
        Hdf5Driver().open(store, "v.h5")


def test_virtual_datasets_stay_in_the_folder(tmp_path, store):
    _virtual(tmp_path, "../source.h5")
    with pytest.raises(UnsupportedError, match="outside"):
        Hdf5Driver().open(store, "v.h5")


# --------------------------------------------------------------------------------------------- what is said
def names(info):
    return None if info.axes is None else "".join(a.name for a in info.axes)


def test_cremi(tmp_path, store):
    attrs = {"resolution": np.array([40.0, 4, 4]), "offset": np.array([1520.0, 3644, 3644])}
    write(tmp_path, path="volumes/labels/neuron_ids", attrs=attrs)
    write(tmp_path, path="elsewhere", attrs=attrs)
    info = Hdf5Driver().open(store, "a.h5::/volumes/labels/neuron_ids")
    assert names(info) == "zyx"
    assert {a.unit for a in info.axes} == {"nanometer"}
    assert info.transform == Sequence((Scale((40.0, 4.0, 4.0)), Translation((1520.0, 3644.0, 3644.0))))
    elsewhere = Hdf5Driver().open(store, "a.h5::/elsewhere")
    assert elsewhere.axes is None
    assert elsewhere.transform is None
    assert elsewhere.attributes["resolution"] == [40.0, 4.0, 4.0]


def test_element_size(tmp_path, store):
    write(tmp_path, attrs={"element_size_um": [0.04, 0.016, 0.016]})
    info = Hdf5Driver().open(store, "a.h5")
    assert names(info) == "zyx"
    assert info.axes[0].unit == "micrometer"
    assert info.transform == Scale((0.04, 0.016, 0.016))


def test_funlib(tmp_path, store):
    attrs = {"axis_names": ["c^", "z", "y", "x"], "units": ["nm", "nm", "nm"], "voxel_size": [40, 4, 4]}
    write(tmp_path, data=np.zeros((2, 3, 4, 5), "u1"), attrs=attrs)
    info = Hdf5Driver().open(store, "a.h5")
    assert names(info) == "czyx"
    assert info.transform == Scale((1.0, 40.0, 4.0, 4.0))
    assert info.axes[0].type == "channel"


def test_dimension_labels_and_axistags_name_axes_only(tmp_path, store):
    tags = json.dumps({"axes": [{"key": k, "typeFlags": 2, "resolution": 0} for k in "xyz"]})
    write(tmp_path, path="tags", attrs={"axistags": tags})
    write(tmp_path, path="dims")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for i, n in enumerate("zyx"):
            file["dims"].dims[i].label = n
    assert names(Hdf5Driver().open(store, "a.h5::tags")) == "xyz"
    info = Hdf5Driver().open(store, "a.h5::dims")
    assert names(info) == "zyx"
    assert info.transform is None


@pytest.mark.parametrize(
    "attrs",
    [
        {"element_size_um": [1.0, 2.0, 3.0], "axis_names": ["x", "y", "z"]},
        {"element_size_um": [0.0, 2.0, 3.0]},
        {"element_size_um": [float("nan"), 2.0, 3.0]},
        {"element_size_um": [1.0, 2.0]},
        {"axistags": "{not json"},
        {"axistags": "[" * 9000},
        {"axes": "zzx"},
        {"axes": 7, "units": 8, "scale": "x"},
    ],
)
def test_contradictions_leave_axes_unknown(tmp_path, store, attrs):
    write(tmp_path, attrs=attrs)
    info = Hdf5Driver().open(store, "a.h5")
    assert info.axes is None
    assert info.transform is None
    assert set(info.attributes) == set(attrs)


def test_contradicting_sizes_leave_the_size_unknown(tmp_path, store):
    attrs = {"element_size_um": [1.0, 2.0, 2.0], "axes": "zyx", "units": "nm", "scale": [1.0, 2.0, 2.0]}
    write(tmp_path, attrs=attrs)
    info = Hdf5Driver().open(store, "a.h5")
    assert names(info) == "zyx"
    assert info.transform is None


def test_attributes_are_json(tmp_path, store):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("em", data=DATA)
        dataset.attrs["text"] = "µm"
        dataset.attrs["bytes"] = np.bytes_(b"raw\xff")
        dataset.attrs["many"] = np.arange(12).reshape(3, 4)
        dataset.attrs["strings"] = ["a", "b"]
        dataset.attrs["not a number"] = np.array([1.5, np.nan, np.inf])
        dataset.attrs["flag"] = np.bool_(True)
        dataset.attrs["nothing"] = h5py.Empty("f4")
        dataset.attrs["pointer"] = dataset.ref
        dataset.attrs["records"] = np.zeros(2, [("x", "u1")])
        dataset.attrs["complex"] = 1 + 2j
    attributes = Hdf5Driver().open(store, "a.h5").attributes
    json.dumps(attributes, allow_nan=False)
    assert attributes["text"] == "µm"
    assert attributes["many"] == np.arange(12).reshape(3, 4).tolist()
    assert attributes["strings"] == ["a", "b"]
    assert attributes["not a number"] == [1.5, "nan", "inf"]
    assert attributes["flag"] is True
    assert attributes["nothing"] is None


# ----------------------------------------------------------------------------------------------------- stores
class _FileStore(MemoryStore):
    """A store far away that can present objects as files."""

    def open_file(self, key, /):
        return io.BytesIO(self.get(key))

    def local_path(self, key, /):
        return None


@pytest.mark.parametrize("layout", ["contiguous", "gzip"])
def test_remote_files_are_read_through_the_store(tmp_path, layout):
    write(tmp_path, data=DATA.astype("u2"), **LAYOUTS[layout])
    store = _FileStore()
    store.put("a.h5", (tmp_path / "a.h5").read_bytes())
    info = Hdf5Driver().open(store, "a.h5::em")
    for box in (Box.whole(DATA.shape), Box((3, 4, 5), (5, 3, 9))):
        got = Hdf5Driver().read_chunk(store, "a.h5::em", info, box)
        np.testing.assert_array_equal(got, DATA[box.slices].astype("u2"))


@pytest.mark.parametrize("layout", ["contiguous", "gzip"])
def test_info_travels_to_another_process(tmp_path, store, layout):
    write(tmp_path, data=DATA.astype("u2"), **LAYOUTS[layout])
    info = pickle.loads(pickle.dumps(Hdf5Driver().open(store, "a.h5")))
    box = Box((3, 4, 5), (5, 3, 9))
    got = Hdf5Driver().read_chunk(store, "a.h5", info, box)
    np.testing.assert_array_equal(got, DATA[box.slices].astype("u2"))


def test_real_ground_truth(tmp_path, store, reads_like):
    source = SHARED / "fib25" / "groundtruth.h5.gz"
    if not source.exists():
        pytest.skip("shared data is not here")
    (tmp_path / "groundtruth.h5").write_bytes(gzip.decompress(source.read_bytes()))
    with h5py.File(tmp_path / "groundtruth.h5") as file:
        expected = file["stack"][...]
    info = reads_like(Hdf5Driver(), "groundtruth.h5::/stack", expected)
    reads_like(Hdf5Driver(), "groundtruth.h5", expected)  # beside it is a table only
    assert info.shape == (250, 250, 250)
    assert info.dtype == np.int32


@pytest.mark.parametrize("layout", ["contiguous", "gzip+shuffle", "lzf"])
def test_many_threads_may_read(tmp_path, store, layout):
    data = np.arange(40 * 50 * 60, dtype="u4").reshape(40, 50, 60)
    write(tmp_path, data=data, **({"chunks": (8, 16, 16)} | LAYOUTS[layout] if LAYOUTS[layout] else {}))
    info = Hdf5Driver().open(store, "a.h5")
    out = np.zeros_like(data)
    parts = list(Box.whole(data.shape).tiles((7, 16, 60)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda b: Hdf5Driver().read_region(store, "a.h5", info, b, out[b.slices]), parts))
    np.testing.assert_array_equal(out, data)
