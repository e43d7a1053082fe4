"""The page at the root of a server."""


def test_the_root_page_loads_nothing_else_and_breaks_no_policy(page, server):
    page.open(f"{server.url}/")
    assert page.evaluate("document.querySelector('h1').textContent")
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "820px", "the style is applied"
    assert page.evaluate("[...document.querySelectorAll('pre')].every(pre => pre.textContent.includes(location.host))")
    assert page.requests(server.url) == [f"{server.url}/"]
    assert page.seen("Log.entryAdded") == []


def test_the_root_page_fits_a_phone(page, server):
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    page.open(f"{server.url}/")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
