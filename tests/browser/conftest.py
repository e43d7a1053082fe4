"""A browser, a web site of another origin, and servers."""

import os
import sys
from pathlib import Path

import pytest
from chromium import Browser, executable
from server import Server
from site_pages import Site

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "clients" / "conformance"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if executable() is None:
        assert os.environ.get("CI") != "true", "Chromium must be there in CI"
        pytest.skip("no Chromium")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    page = browser.page()
    yield page
    page.close()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def server():
    """A server that no other origin may call."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def open_server(site):
    """A server that the pages of `site` may call."""
    server = Server("--cors-origin", site.origin)
    yield server
    server.stop()
