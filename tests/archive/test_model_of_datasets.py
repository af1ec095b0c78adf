"""A model of dataset, drafts, releases and garbage collection: whatever is done in whatever order, nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parent))
from release_data import NOTHING

from voxarium.archive.draft_editing import open_draft
from voxarium.archive.drafts import create_draft, discard_draft
from voxarium.archive.log_reading import LogReader
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.releases import withdraw_release
from voxarium.archive.retention import GRACE, CollectOptions, collect
from voxarium.core.opening import open_array
from voxarium.core.release_store import open_release_store
from voxarium.core.releases import iter_releases
from voxarium.errors import ConflictError, StoreError
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.image import ArraySpec
from voxarium.spec.release import FOLDER
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.memory import MemoryStore

SHAPE, CHUNK, SHARD = (5, 8), (2, 2), (4, 4)
DRAFTS = ("draft", "draft-b")
HOUR = 3600.0


class Clocked(MemoryStore):
    now = 1e9

    def clock(self):
        return self.now


def boxes():
    rows = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(1, 3))
    columns = st.tuples(st.integers(0, SHAPE[1] - 1), st.integers(1, 3))
    return st.builds(lambda r, c: (slice(r[0], sum(r)), slice(c[0], sum(c))), rows, columns)


class Datasets(RuleBasedStateMachine):
    """What must be true: every release reads as it was made, every draft as it was edited, and all verify."""

    def __init__(self):
        super().__init__()
        self.store = Clocked()
        self.releases = {}  # name → (voxels, documents)
        self.drafts = {}  # name → (base, voxels)
        self.documents = {}
        self.gone = set()  # releases whose objects were removed
        self.retired = set()  # withdrawn ones

    @initialize(seed=st.integers(0, 99), sharded=st.booleans())
    def begin(self, seed, sharded):
        self.sharded = sharded
        driver = Zarr3Driver()
        spec = ArraySpec(
            shape=SHAPE,
            dtype=np.dtype("u1"),
            chunk_shape=CHUNK,
            shard_shape=SHARD if sharded else None,
            codec="none",
        )
        info = driver.create(spec)
        for key, data in driver.dump("em", info).items():
            self.store.put(key, data)
        voxels = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)
        step = SHARD if sharded else CHUNK
        for i in range(-(-SHAPE[0] // step[0])):
            for j in range(-(-SHAPE[1] // step[1])):
                whole = np.zeros(step, np.uint8)
                part = voxels[i * step[0] : (i + 1) * step[0], j * step[1] : (j + 1) * step[1]]
                whole[: part.shape[0], : part.shape[1]] = part
                key = driver.object_key("em", info, (i, j))
                chain = info.details.shards if sharded else info.details.chain
                if whole.any():
                    self.store.put(key, bytes(chain.encode(whole)))
        self.write("dataset.json", 0)
        self.publish("", False)
        assert np.array_equal(next(iter(self.releases.values()))[0], voxels)

    # ----------------------------------------------------------------------------------------------------- what is done
    @rule(name=st.sampled_from(("dataset.json", "README.md", "notes.bin-")), value=st.integers(0, 3))
    def write(self, name, value):
        """Change a description, or add an object that nobody may change then."""
        if name.endswith("-"):
            name = f"{name}{len(self.documents)}"
        data = b'{"name": "%d"}' % value
        self.store.put(name, data)
        self.documents[name] = data

    @rule()
    def publish_all(self):
        self.publish("", False)

    @precondition(lambda self: self.drafts)
    @rule(n=st.integers(0, 1), whole=st.booleans())
    def publish_draft(self, n, whole):
        self.publish(sorted(self.drafts)[n % len(self.drafts)], whole)

    def publish(self, draft, whole):
        name = f"v{len(self.releases)}"
        voxels = self.voxels(name)
        try:
            create_release(
                self.store,
                name,
                ReleaseOptions(policy=NOTHING, agent=None, draft=draft, consolidate=whole and bool(draft)),
            )
        except ConflictError:
            # Only when others changed the same objects since.
            assert draft and self.drafts[draft][0] != list(self.releases)[-1]
            return
        if draft:
            base, edited = self.drafts.pop(draft)
            before = self.releases[base][0]
            voxels = np.where(edited != before, edited, voxels)
        self.releases[name] = voxels, dict(self.documents)

    def voxels(self, _name):
        if not self.releases:
            return open_array(self.store, "em")[...]
        return list(self.releases.values())[-1][0]

    @rule(draft=st.sampled_from(DRAFTS), box=boxes(), value=st.integers(0, 4), again=boxes())
    def edit(self, draft, box, value, again):
        if draft not in self.drafts and set(self.releases) <= self.retired:
            return
        with open_draft(self.store, draft) as found:
            base = found.state.base
            found["em"][box] = value
            found["em"][again] = 0
        voxels = self.drafts.get(draft, (base, self.releases[base][0]))[1].copy()
        voxels[box] = value
        voxels[again] = 0
        self.drafts[draft] = base, voxels

    @precondition(lambda self: self.drafts)
    @rule(draft=st.sampled_from(DRAFTS), box=boxes(), n=st.integers(1, 12))
    def edit_and_stop(self, draft, box, n):
        """The store fails in the middle: the draft is as before, or as after."""
        if draft not in self.drafts:
            return
        base, before = self.drafts[draft]
        after = before.copy()
        after[box] = 9
        rule = FaultRule(nth=n, methods=frozenset({"put", "put_if_absent"}))
        try:
            with open_draft(FaultStore(self.store, [rule]), draft) as found:
                found["em"][box] = 9
        except StoreError:
            now = open_array(open_release_store(self.store, draft), "em")[...]
            after = after if np.array_equal(now, after) else before
        self.drafts[draft] = base, after

    @rule(draft=st.sampled_from(DRAFTS))
    def discard(self, draft):
        if draft in self.drafts:
            discard_draft(self.store, draft)
            del self.drafts[draft]
        elif set(self.releases) - self.retired:
            base = create_draft(self.store, draft).state.base
            self.drafts[draft] = base, self.releases[base][0]

    @rule(hours=st.sampled_from((50, 200)))
    def wait(self, hours):
        self.store.now += hours * HOUR

    @rule(key=st.sampled_from(("releases/objects/" + "ab" * 32, "em/c/0/0.7.partial", "releases/pieces/" + "cd" * 32)))
    def leave(self, key):
        self.store.put(key, b"left over")

    @precondition(lambda self: len(self.releases) > 1)
    @rule(n=st.integers(0, 9))
    def withdraw(self, n):
        name = list(self.releases)[n % len(self.releases)]
        if name not in self.retired:
            withdraw_release(self.store, name, "wrong")
            self.retired.add(name)

    @rule(n=st.integers(0, 40))
    def collect(self, n):
        """Remove what is old; now and then stopped in the middle."""
        rule = FaultRule(nth=n, methods=frozenset({"delete", "modified", "put"}))
        store = FaultStore(self.store, [rule]) if n else self.store
        before = {k: self.store.modified(k) for k, _ in self.store.list("")}
        try:
            found = collect(store, CollectOptions(agent=None, apply=True))
        except StoreError:
            found = None
        for key, written in before.items():
            if self.store.stat(key) is None:
                assert self.store.now - written >= GRACE and (key.startswith(f"{FOLDER}/") or key.endswith(".partial"))
        if found is not None:
            assert not collect(self.store, CollectOptions(agent=None)).objects

    @precondition(lambda self: self.retired)
    @rule(n=st.integers(0, 9))
    def purge(self, n):
        """Remove what only a withdrawn release consists of."""
        name = sorted(self.retired)[n % len(self.retired)]
        collect(self.store, CollectOptions(agent=None, apply=True, withdrawn=[name], reason="asked", grace=0.0))
        if not any(base == name for base, _ in self.drafts.values()):  # what a draft edits stays
            self.gone.add(name)

    # -------------------------------------------------------------------------------------------------- what stays true
    @invariant()
    def everything_named_is_there(self):
        assert [s.release.name for s in iter_releases(self.store)] == list(self.releases)
        for name, (voxels, documents) in self.releases.items():
            if name in self.gone:
                continue
            view = open_release_store(self.store, name, verify=True, withdrawn=True)
            assert np.array_equal(open_array(view, "em")[...], voxels), name
            assert {k: view.get(k) for k, _ in view.list("") if not k.startswith("em/")} == documents
        for draft, (_, voxels) in self.drafts.items():
            assert np.array_equal(open_array(open_release_store(self.store, draft), "em")[...], voxels)

    def teardown(self):
        for name in set(self.releases) - self.gone:
            report = verify_release(self.store, name)
            assert report.ok, report.problems
        if self.releases:
            published = [e for e in LogReader(self.store).entries() if e.operation == "publish"]
            assert len(published) == len(self.releases)


TestDatasets = Datasets.TestCase
TestDatasets.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
