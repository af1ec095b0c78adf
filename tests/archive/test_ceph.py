"""On a real server of another kind: Ceph creates only where nothing is, and refuses every conditional replacement.

Not run where Ceph's programs are not installed; see `ceph_cluster`.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import ceph_cluster
from release_data import CONTENT, draft, filled, publish

from voxarium.archive import shared_documents
from voxarium.archive.log_reading import LogReader
from voxarium.archive.release_checks import verify_release
from voxarium.archive.releases import Releases
from voxarium.archive.shared_documents import change_document, obeys_tags
from voxarium.core.release_store import open_release_store
from voxarium.core.releases import iter_releases
from voxarium.errors import VoxariumError
from voxarium.spec.release import entry_id
from voxarium.stores.objects import ObjectStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        ceph_cluster.missing() is not None,
        reason=f"{ceph_cluster.missing()} of Ceph is not installed (Debian: ceph-mon ceph-osd radosgw ceph-common)",
    ),
]
WRITERS, EACH = 8, 10


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    with ceph_cluster.gateway(tmp_path_factory.mktemp("ceph")) as url:
        boto3 = pytest.importorskip("boto3")
        keys = {"aws_access_key_id": "A", "aws_secret_access_key": "S", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=url, **keys)
        client.create_bucket(Bucket="archive")
        client.close()
        yield url


@pytest.fixture
def make_ceph(ceph, request):
    keys = {"access_key_id": "A", "secret_access_key": "S", "region": "us-east-1", "endpoint": ceph}
    prefix = secrets.token_hex(6)
    return lambda: ObjectStore(f"s3://archive/{prefix}", config=keys)


def together(work):
    errors = []

    def guarded(i):
        try:
            work(i)
        except (VoxariumError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


def test_what_it_can_is_found_out(make_ceph):
    store = make_ceph()
    assert store.put_if_absent("x", b"1") and not store.put_if_absent("x", b"2") and store.get("x") == b"1"
    shared_documents._known.clear()
    assert not obeys_tags(store), "if this fails, Ceph was repaired: say so in decision 24"
    assert [key for key, _ in store.list("")] == ["x"]


def test_releases_are_published_checked_and_read(make_ceph):
    store = filled(make_ceph())
    publish(store)
    store.put("em/s0/c/9/9", b"new")
    publish(store, "v1.1")
    for name in ("v1.0", "v1.1"):
        assert verify_release(store, name).ok
    assert open_release_store(store, "v1.0", verify=True).get("em/zarr.json") == CONTENT["em/zarr.json"]


def test_eight_writers_publish_and_what_was_acknowledged_is_there(make_ceph):
    acknowledged = []

    def work(writer):
        releases = Releases(make_ceph())
        for i in range(EACH):
            stored, made = releases.commit(draft(f"w{writer}-{i}", secrets.token_hex(16)))
            assert made
            releases.complete(stored)
            acknowledged.append((stored.release.name, stored.digest))

    together(work)
    found = list(iter_releases(make_ceph()))
    assert {(s.release.name, s.digest) for s in found} == set(acknowledged) and len(found) == WRITERS * EACH
    assert [s.release.parent for s in found] == ["", *(s.digest for s in found[:-1])]
    logged = [e.write_id for e in LogReader(make_ceph()).entries() if e.operation == "publish"]
    assert sorted(logged) == sorted(entry_id(s.document) for s in found)


def test_of_many_changes_of_one_document_none_is_lost_although_conditions_are_not_obeyed(make_ceph):
    def work(writer):
        store = make_ceph()
        for i in range(3):
            name = f"{writer}-{i}"
            change_document(
                store, "list.json", lambda data, name=name: json.dumps([*json.loads(data or b"[]"), name]).encode()
            )

    together(work)
    store = make_ceph()
    assert len(json.loads(store.get("list.json"))) == WRITERS * 3
    assert [key for key, _ in store.list("")] == ["list.json"]
