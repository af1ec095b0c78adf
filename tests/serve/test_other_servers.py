"""The application under another server of ASGI, as the environment describes it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from voxarium.errors import InputError
from voxarium.serve.factory import VARIABLE, application


@pytest.mark.parametrize("told", ["", "{", "[]", "{}", '{"roots": 3}', '{"roots": ["."], "password": "x"}'])
def test_an_environment_that_says_nothing_useful_is_an_error(told, monkeypatch):
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(InputError):
        application()


def test_settings_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(
        VARIABLE, json.dumps({"roots": [f"em={tmp_path}"], "max_age": 5, "origins": ["https://a.example"]})
    )
    site = application().site
    assert list(site.catalogue.roots) == ["em"] and site.settings.max_age == 5
    assert site.settings.origins == ("https://a.example",)


def test_granian_serves_it(tmp_path):
    pytest.importorskip("granian", reason="granian is not installed")
    (tmp_path / "x").write_bytes(bytes(range(100)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(port), "--no-ws"]
    command += ["--log-level", "critical", "voxarium.serve.factory:application"]
    environment = os.environ | {VARIABLE: json.dumps({"roots": [f"em={tmp_path}"]})}
    with subprocess.Popen(command, env=environment) as process:
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            request = urllib.request.Request(f"http://127.0.0.1:{port}/raw/em/x", headers={"Range": "bytes=-3"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 206 and answer.read() == bytes([97, 98, 99])
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
        finally:
            process.terminate()
        process.wait(30)


def test_packages_that_are_not_installed_are_named(tmp_path, monkeypatch, capsys):
    from voxarium.cli.main import main

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "uvicorn" in told and "pip install 'voxarium[serve]'" in told
