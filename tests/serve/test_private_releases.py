"""Releases under access control: a release is no more public than its dataset."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.serve.site import Settings

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")


def publish(root):
    np.save(root.parent / "x.npy", np.arange(7 * 9 * 11, dtype="u2").reshape(7, 9, 11))
    voxarium.convert(root.parent / "x.npy", root / "em", axes="zyx", voxel_size=8, unit="nanometer", levels=1)
    for name in ("v1.0", "v2.0"):
        (root / "README.md").write_text(name)
        create_release(root, name, ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    (root.parent / "x.npy").unlink()


@pytest.fixture(scope="module")
def served(tmp_path_factory, client_of):
    """A public server with a private dataset, of which one release is open."""
    from voxarium.serve.database import open_database
    from voxarium.serve.database.rules import set_rule
    from voxarium.serve.database.tokens import create_token
    from voxarium.serve.running import BackgroundServer

    lab = tmp_path_factory.mktemp("releases") / "lab"
    for name in ("secret", "open"):
        (lab / name).mkdir(parents=True)
        publish(lab / name)
    address = str(tmp_path_factory.mktemp("database") / "server.db")
    database = open_database(address)
    set_rule(database, "lab/secret", False)
    set_rule(database, "lab/secret@v2.0", True)
    token = create_token(database, "all", [("admin", "*")])[0]
    database.close()
    with BackgroundServer([str(lab)], settings=Settings(database=address)) as server:
        server.site.catalogue.scan()
        yield client_of(server), {"x-auth-token": token}


PATHS = (
    "/raw/lab/{}/em/zarr.json", "/raw/lab/{}/", "/raw/lab/{}/em/", "/as/ome-zarr-0.5/lab/{}/em/zarr.json",
    "/images?release=lab/{}", "/images.json?release=lab/{}", "/cutout/lab/{}/em?box=0:2,0:2,0:2",
    "/thumbnail/lab/{}/em?size=128", "/nii/volume/lab/{}/em", "/niivue/lab/{}/em", "/view.json?image=lab/{}/em",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_release_is_as_private_as_its_dataset_unless_a_rule_opens_it(served, path):
    client, everything = served
    for encoded in ("@", "%40"):
        assert client.get(path.format(f"secret{encoded}v1.0")).status == 404
        assert client.get(path.format(f"secret{encoded}v3.0")).status == 404
    for release in ("secret@v2.0", "open@v1.0"):
        assert client.get(path.format(release)).status not in (404, 401, 403)
    assert client.get(path.format("secret@v1.0"), headers=everything).status not in (404, 401, 403)


def test_lists_name_only_releases_that_may_be_seen(served):
    client, everything = served
    found = {r["address"] for r in json.loads(client.get("/images.json").body)["releases"]}
    assert found == {"lab/secret@v2.0", "lab/open@v1.0", "lab/open@v2.0"}
    assert len(json.loads(client.get("/images.json", headers=everything).body)["releases"]) == 4
    for page in ("/", "/images", "/index.json", "/datasets/lab/open", "/raw/lab/"):
        assert b"secret/" not in client.get(page).body and b"secret@v1.0" not in client.get(page).body
