"""The dataset browser in a real browser: search, filters, keys, colours, copying; live and as files."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium

from .conftest import chromium

WIDE = {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
HOSTILE = "<img src=x onerror=document.title='run'>"


def run(*arguments: object) -> None:
    from voxarium.cli.main import main

    assert main([str(a) for a in arguments] + ["--quiet"]) == 0, arguments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four datasets."""
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("portal") / "lab"
    folder.mkdir()
    source = folder.parent / "em.npy"
    em = np.random.default_rng(3).integers(0, 255, (12, 40, 61), np.uint8)
    np.save(source, em)
    np.save(folder.parent / "cells.npy", (em > 99).astype(np.uint32) * 7)
    for name, organism, modality, voxel in (
        ("cortex", "Mus musculus", "FIB-SEM", 8), ("lobe", "Drosophila melanogaster", "FIB-SEM", 4),
        ("fish", "Danio rerio", "Light sheet", 650), (HOSTILE, HOSTILE, HOSTILE, 16),
    ):  # fmt: skip
        place = folder / ("hostile" if name == HOSTILE else name)
        run("dataset", "create", place, "--name", name, "--specimen", f"organism={organism}", "--specimen",
            f"modality={modality}", "--description", name, "--license", "CC0-1.0" if voxel == 4 else "CC-BY-4.0",
        )  # fmt: skip
        run("convert", source, place / "em", "--axes", "zyx", "--voxel-size", voxel, "--unit", "nm", "--levels", "1")
    run("convert", folder.parent / "cells.npy", folder / "cortex/labels/cells", "--role", "label", "--axes", "zyx",
        "--voxel-size", "8", "--unit", "nm", "--levels", "1")  # fmt: skip
    voxarium.convert(source, folder / "loose.zarr", axes="zyx", voxel_size=2, unit="nanometer")
    return folder


@pytest.fixture(scope="module")
def live(folder: Path) -> Iterator[str]:
    """Serve the folder."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([str(folder)]) as server:
        server.site.catalogue.scan()
        yield f"{server.url}/"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def static(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the portal, and hand out its files as any web server does."""
    from voxarium.view.portal.building import PortalOptions, build_portal

    out = tmp_path_factory.mktemp("static") / "site"
    build_portal([folder], out, PortalOptions(title="Our data"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(out)))
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["live", "static"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the address of the catalogue, both ways it can be had."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Return a browser without a screen."""
    with chromium() as browser:
        browser.set_script_timeout(60)
        yield browser


@pytest.fixture
def browser(started: Any) -> Any:
    """Return the browser as it begins: a wide window, light, with scripts; nothing may be blocked or missing."""
    started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    started.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WIDE)
    prefer(started, "light")
    started.get("about:blank")
    started.get_log("browser")
    yield started
    assert [e for e in started.get_log("browser") if e["level"] not in ("INFO", "DEBUG")] == []


def prefer(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def until(browser: Any, condition: Any) -> Any:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30, ignored_exceptions=[StaleElementReferenceException]).until(condition)


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def texts(browser: Any, selector: str) -> list[str]:
    return [e.text for e in browser.find_elements("css selector", selector)]


def inside(browser: Any, selector: str) -> list[str]:
    """Return texts of elements, also of those that the driver takes for hidden, not knowing ::details-content."""
    return [" ".join(e.get_attribute("textContent").split()) for e in browser.find_elements("css selector", selector)]


def click(browser: Any, element: Any) -> None:
    """Click where an element is, once it is there."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    ActionChains(browser).move_to_element(element).click().perform()


def names(browser: Any) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#cards h3 a')].map(a => a.textContent)"
    )
    return found


def shows(*wanted: str) -> Any:
    return lambda browser: sorted(names(browser)) == sorted(wanted)


ALL = ("cortex", "fish", "lobe", "loose", HOSTILE)


def open_page(browser: Any, address: str) -> None:
    browser.get(address)
    until(browser, lambda b: b.execute_script("return document.readyState") == "complete")
    find(browser, "body").send_keys("")


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


# ---------------------------------------------------------------------------------------------------------- catalogue
def test_the_catalogue_shows_all_datasets_with_their_pictures(url: str, browser: Any) -> None:
    open_page(browser, url)
    assert sorted(names(browser)) == sorted(ALL)
    widths = (
        "for (const i of document.images) i.loading = 'eager'; return [...document.images].map(i => i.naturalWidth)"
    )
    until(browser, lambda b: b.execute_script(widths) == [512] * 5)
    assert texts(browser, "#total") == ["5 datasets"]


def test_words_are_searched_as_they_are_typed_and_the_address_says_them(url: str, browser: Any) -> None:
    open_page(browser, url)
    find(browser, "#q").send_keys("mus")
    until(browser, shows("cortex"))
    assert browser.current_url.partition("?")[2] == "q=mus"
    assert texts(browser, "#total") == ["1 of 5 datasets"]
    find(browser, "#q").send_keys(" nothing")
    until(browser, shows())
    assert find(browser, "#nothing").is_displayed()
    find(browser, "#nothing a").click()
    until(browser, shows(*ALL))
    assert "?" not in browser.current_url


def test_filters_widen_within_and_narrow_between_and_can_be_taken_back(url: str, browser: Any) -> None:
    open_page(browser, url)
    find(browser, "input[name=modality][value=FIB-SEM]").click()
    until(browser, shows("cortex", "lobe"))
    counts = dict(zip(texts(browser, "[data-facet=license] .choice span:nth-child(2)"),
                      texts(browser, "[data-facet=license] .count"), strict=True))  # fmt: skip
    assert counts == {"CC-BY-4.0": "1", "CC0-1.0": "1"}
    find(browser, "input[name=license][value='CC0-1.0']").click()
    until(browser, shows("lobe"))
    address = browser.current_url
    find(browser, "#chips a[aria-label='Remove FIB-SEM']").click()
    until(browser, lambda b: "modality" not in b.current_url)
    open_page(browser, address)
    until(browser, shows("lobe"))
    assert find(browser, "input[name=modality][value=FIB-SEM]").is_selected()


def test_sizes_of_voxels_and_the_order_can_be_chosen(url: str, browser: Any) -> None:
    open_page(browser, url)
    find(browser, "input[name=voxel_max]").send_keys("8")
    until(browser, shows("cortex", "lobe", "loose"))
    find(browser, "select[name=sort] option[value=finest]").click()
    until(browser, lambda b: names(b) == ["loose", "lobe", "cortex"])
    assert "voxel_max=8" in browser.current_url and "sort=finest" in browser.current_url


@pytest.mark.parametrize("query", ["q=fib", "modality=FIB-SEM&sort=finest", "voxel_min=5&voxel_max=700&sort=largest"])
def test_the_script_chooses_what_the_server_chooses(live: str, browser: Any, query: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(f"{live}?{query}")
    parts = ("#cards h3 a", "#cards .facts li", ".choice")
    wanted = [inside(browser, part) for part in parts]
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    open_page(browser, f"{live}?{query}")
    field = find(browser, "#q")
    field.send_keys(" ")  # draws anew
    until(browser, lambda b: b.execute_script("return performance.getEntriesByName(arguments[0]).length",
                                              f"{live}index.json"))  # fmt: skip
    until(browser, lambda b: [inside(b, part) for part in parts] == wanted)


def test_without_scripts_the_live_catalogue_searches_and_filters(live: str, browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(live)
    find(browser, "#q").send_keys("mus")
    find(browser, ".search button").click()
    until(browser, lambda b: texts(b, "#cards h3 a") == ["cortex"])
    browser.get(live)
    click(browser, find(browser, "input[name=modality][value=FIB-SEM]"))
    click(browser, find(browser, ".actions button"))
    until(browser, lambda b: sorted(texts(b, "#cards h3 a")) == ["cortex", "lobe"])
    assert "modality=FIB-SEM" in browser.current_url


def test_without_scripts_the_files_say_what_does_not_work_and_show_everything(static: str, browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(static)
    assert "need JavaScript" in find(browser, "main").text
    assert len(texts(browser, "#cards h3 a")) == 5
    browser.find_element("link text", "cortex").click()
    until(browser, lambda b: texts(b, "h1") == ["cortex"])
    assert "voxarium.open(" in find(browser, "#open code").text


# --------------------------------------------------------------------------------------------------------------- keys
def test_keys_alone_lead_from_search_to_a_dataset(url: str, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(browser, url)
    focused = "return document.activeElement.id || document.activeElement.textContent"
    press(browser, "/")
    until(browser, lambda b: b.execute_script(focused) == "q")
    assert find(browser, "#q").get_attribute("value") == ""
    press(browser, "f", "i", "b")
    until(browser, shows("cortex", "lobe"))
    press(browser, Keys.ARROW_DOWN)
    until(browser, lambda b: b.execute_script(focused) == "cortex")
    press(browser, Keys.ARROW_RIGHT)
    until(browser, lambda b: b.execute_script(focused) == "lobe")
    ring = "return getComputedStyle(document.activeElement.closest('.card')).boxShadow"
    assert browser.execute_script(ring) != "none"
    press(browser, Keys.ENTER)
    until(browser, lambda b: texts(b, "h1") == ["lobe"])


def test_the_first_key_leads_past_the_header(url: str, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(browser, url)
    press(browser, Keys.TAB)
    assert browser.execute_script("return document.activeElement.className") == "skip"
    press(browser, Keys.ENTER)
    until(browser, lambda b: b.execute_script("return document.activeElement.id") == "content")


# ------------------------------------------------------------------------------------------------------------ colours
def paper(browser: Any) -> int:
    text: str = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return int(text.split("(")[1].split(",", maxsplit=1)[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_follow_the_system_until_somebody_chooses(url: str, browser: Any, scheme: str) -> None:
    prefer(browser, scheme)
    open_page(browser, url)
    browser.execute_script("localStorage.clear()")
    open_page(browser, url)
    assert (paper(browser) > 200) == (scheme == "light")
    button = find(browser, ".theme")
    button.click()
    assert button.text == "Light colours" or "Light" in button.text
    assert paper(browser) > 200
    button.click()
    assert paper(browser) < 60
    open_page(browser, url)
    assert paper(browser) < 60, "what was chosen is kept"
    find(browser, ".theme").click()
    assert (paper(browser) > 200) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_telephone(url: str, browser: Any, scheme: str) -> None:
    prefer(browser, scheme)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    open_page(browser, url)
    until(browser, lambda b: not find(b, "#facets").is_displayed())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    find(browser, ".filters summary").click()
    until(browser, lambda b: find(b, "#facets").is_displayed())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    click(browser, browser.find_element("link text", "cortex"))
    until(browser, lambda b: texts(b, "h1") == ["cortex"])
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


# ------------------------------------------------------------------------------------------------------------ dataset
def to_dataset(browser: Any, url: str, name: str) -> None:
    open_page(browser, url)
    browser.find_element("link text", name).click()
    until(browser, lambda b: texts(b, "h1") == [name])
    until(browser, lambda b: b.execute_script("return document.readyState") == "complete")


def test_a_dataset_shows_its_layers_in_register(url: str, browser: Any) -> None:
    to_dataset(browser, url, "cortex")
    assert texts(browser, ".layers .name") == ["em", "labels/cells"]
    assert texts(browser, ".layers .role") == ["intensity", "label"]
    boxes = (
        "return [...document.querySelectorAll('.coordinates .box polygon')].map(p => p.getBoundingClientRect().width)"
    )
    widths = browser.execute_script(boxes)
    assert len(widths) == 6 and min(widths) > 20
    row = find(browser, ".layers tbody tr:nth-child(2)")
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).move_to_element(row).perform()
    until(browser, lambda b: len(b.find_elements("css selector", ".box.label.lit")) == 3)


def test_lines_are_copied_for_each_program(url: str, browser: Any) -> None:
    to_dataset(browser, url, "cortex")
    origin = "/".join(url.split("/")[:3])
    granted = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": origin}
    browser.execute_cdp_cmd("Browser.grantPermissions", granted)
    for program, wanted in (("Python", "import voxarium"), ("napari", "napari --plugin"), ("Fiji", "cortex/em")):
        tab = browser.find_element("xpath", f"//details[@open]//label[text()='{program}']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", tab)
        tab.click()
        button = find(browser, "details[open] input:checked + label + .panel button.copy")
        button.click()
        until(browser, lambda b, button=button: button.text == "Copied")
        copied = browser.execute_script("return navigator.clipboard.readText()")
        assert wanted in copied and copied == find(browser, "details[open] input:checked + label + .panel code").text


def test_hostile_texts_do_not_run(url: str, browser: Any) -> None:
    open_page(browser, url)
    find(browser, "#q").send_keys("onerror")
    until(browser, shows(HOSTILE))
    find(browser, "#cards h3 a").click()
    until(browser, lambda b: texts(b, "h1") == [HOSTILE])
    assert browser.title.startswith(HOSTILE)
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0


def test_files_are_browsed_from_the_page_of_a_dataset(live: str, browser: Any) -> None:
    to_dataset(browser, live, "cortex")
    browser.find_element("link text", "Browse files").click()
    until(browser, lambda b: "dataset.json" in texts(b, "td a"))
    browser.find_element("link text", "All datasets").click()
    until(browser, lambda b: b.current_url == live)


def test_thousands_of_datasets_stay_quick_to_search(folder: Path, tmp_path: Path, browser: Any) -> None:
    from dataclasses import replace

    from voxarium.view.portal.building import index_bytes
    from voxarium.view.portal.catalogue import Query as Asked
    from voxarium.view.portal.catalogue import Summary, choose
    from voxarium.view.portal.pages import ASSETS, CataloguePage, SiteFacts, asset_bytes, catalogue_html
    from voxarium.view.portal.static_dataset import StaticLinks

    one = Summary(name="x", href="x.html", cover="", title="x", format=("ome-zarr",))
    many = [replace(one, name=f"n{i:05}", title=f"Set {i:05}", text=f"set {i:05}", voxel=float(i)) for i in range(5000)]
    for name in ASSETS:
        (tmp_path / "assets").mkdir(exist_ok=True)
        (tmp_path / "assets" / name).write_bytes(asset_bytes(name))
    page = CataloguePage(chosen=choose(many, Asked()), action="index.html", turning=[("next", "page-2.html")])
    text = catalogue_html(SiteFacts(static=True), StaticLinks.of_catalogue(), page)
    (tmp_path / "index.html").write_text(text, "utf-8")
    (tmp_path / "index.json").write_bytes(index_bytes(many))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            open_page(browser, f"http://127.0.0.1:{server.server_port}/index.html")
            assert texts(browser, "#total") == ["5,000 datasets"] and len(names(browser)) == 48
            find(browser, "#q").send_keys("set 0499")
            until(browser, lambda b: len(names(b)) == 11)  # 00499 and 04990 to 04999
            find(browser, "#q").clear()
            find(browser, "input[name=voxel_min]").send_keys("100")
            until(browser, lambda b: texts(b, "#total") == ["4,900 of 5,000 datasets"])
            find(browser, "#pages button").send_keys("\n")
            until(browser, lambda b: len(names(b)) == 96)
            assert browser.execute_script("return document.activeElement.textContent") == "Set 00148"
        finally:
            server.shutdown()
            thread.join()
