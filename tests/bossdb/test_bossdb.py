"""BossDB channels over a loopback server that the service's own client reads too."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, UnsupportedError, VoxariumError
from voxarium.formats.bossdb import BossArrayDriver, BossDriver
from voxarium.model.box import Box
from voxarium.spec import bossdb as spec
from voxarium.stores.bossdb import BossStore
from voxarium.stores.memory import MemoryStore

pytest.importorskip("blosc", reason="blosc (a dependency of intern) is not installed")
_spec = importlib.util.spec_from_file_location("boss_server", Path(__file__).with_name("boss_server.py"))
boss_server = importlib.util.module_from_spec(_spec)
sys.modules["boss_server"] = boss_server  # dataclasses look it up
_spec.loader.exec_module(boss_server)
Boss, Running = boss_server.Boss, boss_server.Running

SHAPE = (35, 70, 150)


def noise(shape=SHAPE, dtype="u1", seed=0):
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch):
    for name in ("INTERN_TOKEN", "INTERN_HOST", "INTERN_PROTOCOL", "BOSSDB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def serving(*levels, **options):
    boss = Boss([*levels], **options)
    with Running(boss) as server:
        yield boss, f"bossdb://http://{server.host}/col/exp-1/em", server.host


def test_levels_voxels_and_places():
    whole = noise()
    with serving(whole, whole[:, ::2, ::2], whole[:, ::4, ::4]) as (boss, uri, host):
        image = voxarium.open(uri)
        assert image.info.format == "bossdb"
        assert image.name == "em"
        assert image.role == "intensity"
        assert image.unit == "nanometer"
        assert [lvl.path for lvl in image.info.levels] == ["0", "1", "2"]
        for level, f in enumerate((1, 2, 4)):
            np.testing.assert_array_equal(image.level(level)[...], whole[:, ::f, ::f])
            assert image.voxel_size(level) == (30, 4.5 * f, 4 * f)
            assert image.scale_translation(level)[1] == (0, 4.5 * (f - 1) / 2, 4 * (f - 1) / 2)
        np.testing.assert_array_equal(image[3:30, 60, 1:149:7], whole[3:30, 60, 1:149:7])
        assert image.level(0).info.chunk_shape == (16, 32, 64)
        assert all("access-mode=no-cache" in path for path, _ in boss.requests if "/cutout/" in path)
        assert image.store.uri == f"bossdb://http://{host}/col/exp-1/em"


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_every_type_and_annotations(dtype):
    data = noise(dtype=dtype)
    with serving(data, channel={"type": "annotation"}) as (_, uri, _):
        image = voxarium.open(uri)
        assert image.role == "label"
        assert image.dtype == data.dtype
        np.testing.assert_array_equal(image[...], data)


def test_time_samples_are_an_axis():
    data = noise((3, 20, 33, 40), "u2")
    with serving(data) as (_, uri, _):
        image = voxarium.open(uri)
        assert (image.axes[0].name, image.axes[0].unit) == ("t", "second")
        assert image.voxel_size() == (5, 30, 4.5, 4)
        np.testing.assert_array_equal(image[...], data)


def test_frames_that_do_not_begin_at_zero():
    data = noise()
    with serving(data, data[:, ::2, ::2], start=(100, 200, 7)) as (_, uri, _):
        image = voxarium.open(uri)
        assert len(image.levels) == 1
        assert "begin at 0" in image.info.bag.records[0].notes[0]
        assert image.scale_translation()[1] == (7 * 30, 200 * 4.5, 100 * 4)
        np.testing.assert_array_equal(image[5:9, 60:, :3], data[5:9, 60:, :3])


@pytest.mark.parametrize("downsample", [None, {"extent": {}, "cuboid_size": {}}])
def test_servers_that_tell_less_about_levels(downsample):
    whole = noise()
    with serving(whole, whole[::2, ::2, ::2], downsample=downsample, experiment={"hierarchy_method": "isotropic"}) as (
        _,
        uri,
        _,
    ):
        image = voxarium.open(uri)
        assert image.level(1).shape == (18, 35, 75)
        assert image.voxel_size(1) == (60, 9, 8)
        np.testing.assert_array_equal(image.level(1)[...], whole[::2, ::2, ::2])


def test_channels_that_are_precomputed_volumes_say_where():
    stored = {"storage_type": "cloudvol", "bucket": "bossdb-open-data", "cv_path": "/col/exp-1/em"}
    with serving(noise(), channel=stored) as (_, uri, _):
        notes = voxarium.open(uri).info.bag.records[0].notes
        assert any("s3://bossdb-open-data/col/exp-1/em" in note for note in notes)


def test_it_is_converted(tmp_path):
    data = noise()
    with serving(data) as (_, uri, _):
        voxarium.convert(uri, tmp_path / "a.ome.zarr", levels=1)
    image = voxarium.open(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(image[...], data)
    assert image.voxel_size() == (30, 4.5, 4)


def test_stores_and_arrays_travel_to_other_processes():
    data = noise()
    with serving(data) as (_, uri, _):
        store = BossStore(uri, token="other-token")
        with pytest.raises(StoreError):
            store.get("channel")
        store = pickle.loads(pickle.dumps(BossStore(uri)))
        info = pickle.loads(pickle.dumps(BossArrayDriver().open(store, "0")))
        got = BossArrayDriver().read_chunk(store, "0", info, Box((1, 2, 3), (4, 5, 6)))
        np.testing.assert_array_equal(got, data[1:5, 2:7, 3:9])


# -------------------------------------------------------------------------------------------------------- the token
def authorizations(boss):
    return {headers.get("Authorization") for _, headers in boss.requests}


def test_the_token_is_sent_to_its_host_only(monkeypatch):
    data = noise()
    with serving(data, token="topsecret") as (boss, _, host):
        monkeypatch.setenv("INTERN_TOKEN", "topsecret")
        monkeypatch.setenv("INTERN_PROTOCOL", "http")
        monkeypatch.setenv("INTERN_HOST", host)
        image = voxarium.open("bossdb://col/exp-1/em")
        np.testing.assert_array_equal(image[0, 0], data[0, 0])
        assert authorizations(boss) == {"Token topsecret"}
        assert "topsecret" not in repr(image) + image.store.uri + repr(image.store)
        boss.requests.clear()
        monkeypatch.setenv("INTERN_HOST", "api.example.org")
        with pytest.raises(StoreError) as caught:
            voxarium.open(f"bossdb://http://{host}/col/exp-1/em")
        assert authorizations(boss) == {"Token public"}
        assert caught.value.code == Code.STORE_PERMISSION
        assert "topsecret" not in f"{caught.value} {caught.value.fix}"


def test_a_token_does_not_travel_in_the_clear(monkeypatch):
    monkeypatch.setenv("INTERN_TOKEN", "topsecret")
    monkeypatch.setenv("INTERN_HOST", "boss.example.org")
    with pytest.raises(InputError, match="encryption") as caught:
        BossStore("bossdb://http://boss.example.org/col/exp/em")
    assert "topsecret" not in str(caught.value)
    with pytest.raises(InputError):
        BossStore("bossdb://col/exp/em", token="line\nbreak")


# --------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_no_failed_cutout_is_ever_zeros(status):
    with serving(noise()) as (boss, uri, _):
        image = voxarium.open(uri)
        boss.status["cutout"] = status
        store = BossStore(uri, retries=0)
        with pytest.raises(StoreError):
            BossArrayDriver().read_chunk(store, "0", image.level(0).info, Box((0, 0, 0), (2, 2, 2)))


def test_channels_that_are_not_there_or_not_ours():
    with serving(noise()) as (_, uri, _):
        for wrong in (uri.replace("/em", "/other"), uri.replace("/col", "/other")):
            with pytest.raises(StoreError, match="no such channel"):
                voxarium.open(wrong)


@pytest.mark.parametrize("payload", [b"", b"short", bytes(100), b"\x02\x01\x01\x01" + b"\xff" * 12])
def test_damaged_cutouts_are_errors(payload):
    with serving(noise(), payload=payload) as (_, uri, _):
        image = voxarium.open(uri)
        with pytest.raises(FormatError, match="cutout"):
            image[:2, :2, :2]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("frame", {"x_stop": 2**62}),
        ("frame", {"x_stop": 0}),
        ("frame", {"y_start": -5}),
        ("frame", {"z_voxel_size": 0}),
        ("frame", {"z_voxel_size": "30"}),
        ("experiment", {"coord_frame": "../../secret"}),
        ("experiment", {"num_time_samples": 0}),
        ("downsample", {"num_hierarchy_levels": "many"}),
        ("channel", {"base_resolution": -1}),
        ("downsample", {"extent": {"0": [0, 5, 5]}}),
        ("downsample", {"cuboid_size": {"0": [2**70, 5, 5]}}),
    ],
)
def test_absurd_documents_are_errors(part, change):
    with serving(noise(), **{part: change}) as (_, uri, _), pytest.raises(FormatError):
        voxarium.open(uri)


def test_types_that_cutouts_do_not_have():
    with (
        serving(noise(), channel={"datatype": "float32"}) as (_, uri, _),
        pytest.raises(UnsupportedError, match="float32"),
    ):
        voxarium.open(uri)


def test_other_keys_cost_no_request():
    with serving(noise()) as (boss, uri, _):
        store = BossStore(uri)
        assert store.get("zarr.json") is None
        assert store.stat("0/.zarray") is None
        assert store.get_ranges("info", []) is None
        assert not boss.requests


def test_drivers_decline_other_stores():
    for driver in (BossArrayDriver(), BossDriver()):
        with pytest.raises(NotFoundError):
            driver.open(MemoryStore(), *(("0",) if driver.__class__ is BossArrayDriver else ("", None)))


@pytest.mark.parametrize(
    "uri",
    [
        "bossdb://a/b",
        "bossdb://a/b/c/d/e",
        "bossdb://ftp://h/a/b/c",
        "bossdb://https://a/b/c/../d",
        "bossdb://u:p@h/a/b/c",
        "bossdb://https://http://h/a/b/c",
        "bossdb://a/b/c?x=1",
        "s3://a/b/c",
        "bossdb://",
    ],
)
def test_addresses_that_are_none(uri):
    with pytest.raises(InputError) as caught:
        spec.parse_address(uri)
    assert caught.value.code == Code.URI_INVALID


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(sorted({k for d in Boss([noise((1, 1, 1))]).documents().values() for k in d}))


@given(st.dictionaries(keys, documents), st.sampled_from(["frame", "experiment", "channel", "levels"]))
def test_any_documents_give_a_channel_or_our_errors(change, part):
    found = Boss([noise((5, 9, 9)), noise((5, 5, 5))]).documents()
    found[part] |= change
    raw = {k: json.dumps(v).encode() for k, v in found.items()}
    with contextlib.suppress(VoxariumError):
        channel = spec.parse_channel(raw["channel"], raw["experiment"], raw["frame"], raw["levels"])
        assert channel.levels
        assert all(min(level.shape) > 0 and min(level.chunk) > 0 for level in channel.levels)


@given(st.binary(max_size=30))
def test_any_bytes_give_our_errors(raw):
    with pytest.raises(VoxariumError):
        spec.parse_channel(raw, raw, raw, raw)


# ---------------------------------------------------------------------------------------------------------- oracle
@pytest.mark.filterwarnings("default")  # of the client's own dependencies
@pytest.mark.oracle
def test_the_service_of_these_tests_satisfies_its_own_client():
    intern = pytest.importorskip("intern", reason="intern is not installed")
    from intern.remote.boss import BossRemote

    data = noise(dtype="u8")
    with serving(data, data[:, ::2, ::2], token="abc") as (boss, uri, host):
        remote = BossRemote({"protocol": "http", "host": host, "token": "abc"})
        channel = remote.get_channel("em", "col", "exp-1")
        theirs = remote.get_cutout(channel, 0, [10, 150], [3, 70], [0, 35], parallel=False)
        np.testing.assert_array_equal(theirs, data[:, 3:, 10:])
        half = remote.get_cutout(channel, 1, [0, 75], [0, 35], [2, 9], parallel=False)
        np.testing.assert_array_equal(half, data[2:9, ::2, ::2])
        array = intern.array(
            channel, volume_provider=sys.modules["intern.convenience.array"]._BossDBVolumeProvider(remote)
        )
        assert array.shape == SHAPE
        np.testing.assert_array_equal(array[3:5, 10:20, 30:40], data[3:5, 10:20, 30:40])
        ours = BossStore(uri, token="abc")
        level = BossArrayDriver().open(ours, "0")
        got = BossArrayDriver().read_chunk(ours, "0", level, Box((0, 3, 10), (35, 67, 140)))
        np.testing.assert_array_equal(got, theirs)
        cutouts = [path.partition("?") for path, _ in boss.requests if "/cutout/" in path]
        assert cutouts[0][0].rstrip("/") == cutouts[-1][0].rstrip("/")  # the same route …
        assert cutouts[0][2] == cutouts[-1][2]  # … and the same query
