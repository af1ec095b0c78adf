"""Files behind addresses: which ends of names mean a file is what drivers say, those from outside too."""

import struct
from pathlib import Path

import numpy as np
import pytest

import voxarium
from voxarium.core.registry import register_array_driver
from voxarium.core.uri import open_source_store
from voxarium.formats.npy import NpyDriver

DATA = np.arange(3 * 5 * 7, dtype="<i2").reshape(3, 5, 7)


def mrc():
    raw = bytearray(1024)
    struct.pack_into("<4i", raw, 0, 7, 5, 3, 1)
    struct.pack_into("<3i3f3f3i", raw, 28, 7, 5, 3, 14, 15, 12, 90, 90, 90, 1, 2, 3)
    raw[208:216] = b"MAP \x44\x44\0\0"
    return bytes(raw) + DATA.tobytes()


def nrrd():
    lines = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 5 3\nencoding: raw\nendian: little\n\n"
    return lines.encode() + DATA.tobytes()


@pytest.mark.parametrize(("name", "made"), [("a.mrc", mrc), ("b.nrrd", nrrd), ("c.REC", mrc)])
def test_files_of_microscopes_open_over_http(monkeypatch, name, made):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "stores"))
    from http_server import RangeServer

    with RangeServer({f"data/{name}": made()}) as server:
        image = voxarium.open(f"{server.url}/data/{name}")
        assert image.info.format == ("nrrd" if "nrrd" in name else "mrc")
        assert np.array_equal(image[...], DATA)


@pytest.mark.parametrize("name", ["a.czi", "b.lif", "c.nd2", "d.mha", "e.nii.gz", "f.ome.tiff", "g.avif", "h.mrc.gz"])
def test_the_store_of_a_file_is_the_folder_around_it(name):
    store, path = open_source_store(f"https://example.org/data/{name}")
    assert path == name and store.uri.endswith("/data")


def test_a_folder_stays_one():
    store, path = open_source_store("https://example.org/data/em.zarr")
    assert path == "" and store.uri.endswith("/em.zarr")


def test_a_driver_from_outside_says_which_files_are_its_own(monkeypatch):
    from voxarium.core import registry

    monkeypatch.setattr(registry, "_added", {k: [*v] for k, v in registry._added.items()})

    class Odd(NpyDriver):
        suffixes = (".oddity",)

    assert open_source_store("https://example.org/data/a.oddity")[1] == ""
    register_array_driver(Odd())
    assert open_source_store("https://example.org/data/a.oddity")[1] == "a.oddity"
