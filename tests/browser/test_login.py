"""Signing in, a private image, and a link to it, in a real browser."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium

from .conftest import GRAPHICS, chromium

PATIENCE = 60
DATA = np.full((12, 40, 61), 20, np.uint8)
DATA[4:8, 10:30, 20:40] = 220


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Serve a private image; return the address, a token, and one that is shared."""
    for name in ("uvicorn", "sqlalchemy", "PIL"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
    from voxarium.serve.database import open_database
    from voxarium.serve.database.tokens import create_token
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("login")
    np.save(folder / "em.npy", DATA)
    voxarium.convert(folder / "em.npy", folder / "lab/em.zarr", axes="zyx", voxel_size=8, unit="nanometer", levels=1)
    address = str(folder / "server.db")
    database = open_database(address)
    own, _ = create_token(database, "Ada", [("annotate", "lab")])
    shared, _ = create_token(database, "link", [("read", "lab/em.zarr")], kind="sharing")
    database.close()
    with BackgroundServer([str(folder / "lab")], settings=Settings(private=True, database=address)) as server:
        yield server.url, own, shared


@pytest.fixture
def browser() -> Iterator[Any]:
    """Return a browser without a screen, and without cookies."""
    with chromium("--window-size=1000,800", *GRAPHICS, "--hide-scrollbars") as started:
        yield started


def until(check: Any, browser: Any) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            pytest.fail(" ".join(browser.find_element("xpath", "//body").text.split())[:500])
        time.sleep(0.1)


def seen(browser: Any) -> bool:
    """Tell whether Neuroglancer draws the bright block; wait until it does."""
    from PIL import Image

    ready = (
        "const v = window.viewer; return !!v && v.layerManager.managedLayers.length > 0 && v.isReady() &&"
        " v.layerManager.managedLayers.every(l => l.isReady())"
    )

    def bright() -> bool:
        if not browser.execute_script(ready):
            return False
        picture = np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")).astype(int)
        return int((picture.min(axis=-1) > 200).sum()) > 5000

    until(bright, browser)
    return True


def signed_in(browser: Any, url: str, token: str, then: str = "/") -> None:
    browser.get(f"{url}/login?next={then}")
    browser.find_element("name", "token").send_keys(token)
    browser.find_element("xpath", "//button[text()='Sign in']").click()
    until(lambda: "/login" not in browser.current_url, browser)


def test_a_person_signs_in_sees_a_private_image_and_signs_out(lab: tuple[str, str, str], browser: Any) -> None:
    url, token, _ = lab
    browser.get(f"{url}/")
    assert "em.zarr" not in browser.page_source
    browser.find_element("link text", "Sign in").click()
    assert browser.execute_script("return document.activeElement.tagName") in ("BODY", "INPUT")
    signed_in(browser, url, token)
    until(lambda: browser.get(f"{url}/images") or "lab/em.zarr" in browser.page_source, browser)
    assert token not in browser.page_source and "Signed in as token:" in browser.page_source
    until(lambda: browser.execute_script("return document.querySelector('.picture img').naturalWidth > 100"), browser)
    assert browser.execute_script("return document.cookie") == ""  # no script reads it
    browser.get(f"{url}/view/lab/em.zarr")
    assert seen(browser) and token not in browser.current_url
    browser.get(f"{url}/login")
    browser.find_element("xpath", "//button[text()='Sign out']").click()
    until(lambda: "Sign out" not in browser.page_source, browser)
    browser.get(f"{url}/")
    assert "em.zarr" not in browser.page_source


def test_a_wrong_token_is_told(lab: tuple[str, str, str], browser: Any) -> None:
    url = lab[0]
    browser.get(f"{url}/login")
    browser.find_element("name", "token").send_keys("something else")
    browser.find_element("xpath", "//button[text()='Sign in']").click()
    until(lambda: browser.find_elements("xpath", "//*[@role='alert']"), browser)
    assert "no token" in browser.find_element("xpath", "//*[@role='alert']").text


def test_a_link_shows_a_private_image_to_whoever_has_it(lab: tuple[str, str, str], browser: Any) -> None:
    url, _, shared = lab
    browser.get(f"{url}/t/{shared}/view/lab/em.zarr")
    assert seen(browser)
    browser.get(f"{url}/t/{shared}/images")
    until(lambda: "lab/em.zarr" in browser.page_source, browser)
    browser.find_element("link text", "View").click()
    assert seen(browser) and f"/t/{shared}/v/view/" in browser.current_url
    browser.get(f"{url}/view/lab/em.zarr")
    until(lambda: "no image is at this address" in browser.page_source, browser)


def test_the_viewer_saves_a_state_that_others_open_with_their_own_token(
    lab: tuple[str, str, str], browser: Any, tmp_path: Path
) -> None:
    url, token, shared = lab
    signed_in(browser, url, token)
    browser.get(f"{url}/view/lab/em.zarr")
    assert seen(browser)
    save = "return fetch('/states', {method: 'POST', body: JSON.stringify(viewer.state.toJSON())}).then(r => r.json())"
    link = browser.execute_script(save)
    assert link.startswith(f"{url}/s/")
    browser.delete_all_cookies()
    browser.get("about:blank")
    browser.get(link)
    until(lambda: "not found" in browser.page_source, browser)
    browser.get(link.replace("/s/", f"/t/{shared}/s/"))
    assert seen(browser)
