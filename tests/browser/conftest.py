"""A real Neuroglancer in a real browser, without a screen; skipped where there is none."""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PATIENCE = 30  # seconds until a picture must be complete
SIZE = (600, 400)  # width and height of what is looked at, in pixels
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


class Window:
    """What is on the screen, as an array (rows, columns, RGB)."""

    def __init__(self, viewer: Any, driver: Any) -> None:
        self.viewer = viewer
        self.driver = driver

    def text(self) -> str:
        """Return what the page says, errors included."""
        return " ".join(self.driver.find_element("xpath", "//body").text.split())

    def look(self, state: dict[str, Any]) -> np.ndarray:
        """Show a state and return the picture once everything has been drawn."""
        self.viewer.set_state(state)
        for _ in range(5):  # the size is not always respected at once
            replies: queue.Queue[Any] = queue.Queue()
            self.viewer.async_screenshot(replies.put)
            try:
                shot = replies.get(timeout=PATIENCE).screenshot
            except queue.Empty:
                pytest.fail(f"nothing was drawn: {self.text()}")
            if (shot.width, shot.height) == SIZE:
                return shot.image_pixels[..., :3]
        pytest.fail(f"the picture has {shot.width} × {shot.height} pixels")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Return a folder and the address at which our own server shows it to browsers."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from voxarium.serve.running import BackgroundServer

    folder = tmp_path_factory.mktemp("served")
    with BackgroundServer([f"served={folder}"]) as server:
        yield folder, f"{server.url}/raw/served"


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    """Return a browser that shows Neuroglancer."""
    neuroglancer = pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
    pytest.importorskip("selenium", reason="selenium, which steers the browser, is not installed")
    binary = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if binary is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium with chromedriver on this machine")
    from neuroglancer.webdriver import Webdriver

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("SE_OFFLINE", "true")  # it would look for drivers to download
    monkeypatch.setenv("SE_AVOID_STATS", "true")
    neuroglancer.set_server_bind_address("127.0.0.1")
    if client := os.environ.get("VOXARIUM_NEUROGLANCER"):
        neuroglancer.set_static_content_source(path=client)
    viewer = neuroglancer.Viewer()
    with viewer.config_state.txn() as config:
        config.show_ui_controls = False
        config.show_panel_borders = False
        config.viewer_size = SIZE
    with Webdriver(
        viewer,
        headless=True,
        docker=True,
        print_logs=False,
        browser_binary_path=binary,
        window_size=SIZE,
        extra_command_line_args=_ARGUMENTS,
    ) as page:
        yield Window(viewer, page.driver)
    neuroglancer.stop()
    monkeypatch.undo()


@pytest.fixture
def bright() -> Callable[[np.ndarray, np.ndarray], tuple[float, ...]]:
    """Return the function that measures where a lit rectangle is: (top, bottom, left, right) in pixels."""

    def measure(picture: np.ndarray, color: np.ndarray) -> tuple[float, ...]:
        lit = (np.abs(picture.astype(int) - color) <= 40).all(axis=-1)
        rows, columns = np.nonzero(lit.any(axis=1))[0], np.nonzero(lit.any(axis=0))[0]
        assert len(rows), "nothing is lit"
        inside = lit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert inside.mean() > 0.95, "what is lit is no rectangle"
        return float(rows[0]), float(rows[-1] + 1), float(columns[0]), float(columns[-1] + 1)

    return measure


GRAPHICS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Start a browser without a screen, or skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, which steers the browser, is not installed")
    binary = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SE_OFFLINE", "true")  # it would look for drivers to download
        monkeypatch.setenv("SE_AVOID_STATS", "true")
        started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield started
        finally:
            started.quit()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser without a screen."""
    with chromium("--window-size=1000,800", *GRAPHICS, "--hide-scrollbars") as started:
        yield started
