from __future__ import annotations

import logging
import os
import urllib.request
from collections.abc import Iterator

import pytest

from voxarium.stores.objects import ObjectStore


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    """Tests see no credentials, no keys and no keyring of the person who runs them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "GCS_", "VOXARIUM_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path_factory.mktemp("keys")))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A server that speaks S3, conditional writes included."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/archive", method="PUT"), timeout=5).close()
    yield url
    server.stop()


@pytest.fixture
def make_s3(s3: str, request: pytest.FixtureRequest):
    """Return a function that opens the same empty prefix each time."""
    keys = {"access_key_id": "me", "secret_access_key": "s3cr3t", "region": "us-east-1", "endpoint": s3}
    name = f"s3://archive/{abs(hash(request.node.nodeid)):x}"
    return lambda: ObjectStore(name, config=keys)
