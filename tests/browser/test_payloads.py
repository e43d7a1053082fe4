"""Content that callers choose is downloaded and never runs, neither as a page nor in a frame."""

import pytest

HTML = "<!doctype html><script>new Image().src = '{0}/ran'</script><img src=x onerror=\"new Image().src = '{0}/ran'\">"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" onload="new Image().src = \'{0}/ran\'">'
    "<script>new Image().src = '{0}/ran'</script></svg>"
)
SCRIPTS = {"text/html": HTML, "image/svg+xml": SVG}
PATHS = ["payload", "result/payload"]


@pytest.fixture(params=SCRIPTS)
def content_type(request):
    return request.param


@pytest.fixture
def text(content_type, site):
    return SCRIPTS[content_type].format(site.origin)


@pytest.fixture(params=PATHS)
def url(request, server, content_type, text):
    payload = {"text": text, "contentType": content_type}
    job = server.post("/v1/jobs?wait=30s", kind="demo.echo", payload=payload)["submit"]["jobId"]
    return f"{server.url}/v1/jobs/{job}/{request.param}"


def test_a_page_is_downloaded_and_does_not_run(browser, page, site, url, text):
    assert page.navigate(url) == "net::ERR_ABORTED"
    assert browser.download_of(url).decode() == text
    assert site.count("/ran") == 0
    assert page.evaluate("location.href") == "about:blank"


def test_a_frame_is_downloaded_and_does_not_run(browser, page, site, url, text):
    site.pages["/frame"] = ("text/html", f'<!doctype html><iframe src="{url}"></iframe>')
    page.navigate(f"{site.origin}/frame")
    assert browser.download_of(url).decode() == text
    assert site.count("/ran") == 0


@pytest.mark.parametrize("path", ["/page", "/frame"])
def test_the_same_content_runs_elsewhere(page, site, content_type, text, path):
    site.pages["/page"] = (content_type, text)
    site.pages["/frame"] = ("text/html", '<!doctype html><iframe src="/page"></iframe>')
    page.navigate(site.origin + path)
    site.wait_for("/ran")
