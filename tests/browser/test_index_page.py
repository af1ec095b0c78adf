"""The page of all images in a real browser: pictures, search, copying, narrow and dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import voxarium

from .conftest import chromium

DATA = np.random.default_rng(3).integers(0, 255, (12, 40, 61), np.uint8)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve two images and something broken."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from voxarium.serve.running import BackgroundServer

    folder = tmp_path_factory.mktemp("page") / "lab"
    folder.mkdir()
    np.save(folder / "slices.npy", DATA)
    voxarium.convert(folder / "slices.npy", folder / "em.zarr", axes="zyx", voxel_size=8, unit="nanometer", levels=2)
    (folder / "broken.zarr").mkdir()
    (folder / "broken.zarr/zarr.json").write_text("{")
    with BackgroundServer([str(folder)]) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser without a screen."""
    with chromium("--window-size=1200,1000") as started:
        yield started


def loaded(browser: Any, address: str) -> None:
    """Open a page and wait until its pictures are there, or known not to be."""
    browser.get(address)
    browser.set_script_timeout(30)
    browser.execute_async_script(
        "const done = arguments[0]; const wait = () => [...document.images].every(i => i.complete)"
        " ? done() : setTimeout(wait, 50); for (const i of document.images) i.loading = 'eager'; wait()"
    )


def texts(browser: Any, selector: str) -> list[str]:
    return [e.text for e in browser.find_elements("css selector", selector)]


def test_images_have_pictures_and_nothing_is_blocked_or_missing(url: str, browser: Any) -> None:
    loaded(browser, f"{url}/images")
    assert texts(browser, "h2") == ["lab/em.zarr", "lab/slices.npy"]
    widths = browser.execute_script("return [...document.images].map(i => i.naturalWidth)")
    assert widths == [256, 256]
    assert texts(browser, ".problem") == ["lab/broken.zarr is broken"]
    assert [e for e in browser.get_log("browser") if e["level"] != "INFO"] == []


def test_lines_are_shown_when_wanted_and_can_be_copied(url: str, browser: Any) -> None:
    loaded(browser, f"{url}/images")
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": url}
    )
    assert not any(texts(browser, "article pre"))
    browser.find_element("css selector", "summary").click()
    lines = [t for t in texts(browser, "article pre") if t]
    assert f"zarr3://{url}/raw/lab/em.zarr" in lines
    button = browser.find_element("css selector", "article button")
    button.click()
    browser.execute_async_script("setTimeout(arguments[0], 200)")
    assert button.text == "Copied"
    assert browser.execute_script("return navigator.clipboard.readText()") == f"{url}/raw/lab/em.zarr"


def test_the_page_is_searched_from_its_field(url: str, browser: Any) -> None:
    loaded(browser, f"{url}/images")
    field = browser.find_element("css selector", "input[type=search]")
    field.send_keys("npy\n")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda b: "search" in b.current_url)
    assert browser.current_url.endswith("/images?search=npy") and texts(browser, "h2") == ["lab/slices.npy"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone_and_both_schemes(url: str, browser: Any, scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        loaded(browser, f"{url}/images")
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        red = int(
            browser.execute_script("return getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0]
        )
        assert (red > 200) == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_folders_are_walked_by_following_links(url: str, browser: Any) -> None:
    loaded(browser, f"{url}/raw/lab")
    assert browser.current_url == f"{url}/raw/lab/"
    browser.find_element("link text", "em.zarr/").click()
    assert browser.current_url == f"{url}/raw/lab/em.zarr/" and "zarr.json" in texts(browser, "td a")
    browser.find_element("link text", "../").click()
    browser.find_element("link text", "All datasets").click()
    assert browser.current_url == f"{url}/"
