"""The page of docs/browser.md follows a job by EventSource: through cuts, a restart and to the end."""

import re

import pytest
from conftest import ROOT
from proxy import Proxy
from server import Server

KIND = "test.followed"
CLOSE = re.compile(r"\n.*\bsource\.close\(\).*")


def page_of_docs():
    """The only HTML block of the page."""
    blocks = re.findall(r"\n```html\n(.*?)\n```", (ROOT / "docs" / "browser.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture
def proxy(open_server):
    proxy = Proxy(open_server.address)
    yield proxy
    proxy.close()


def follow(page, site, address, job, html=None):
    """Opens the page of the docs, which follows a job at this address."""
    html = html or page_of_docs()
    assert html.count("http://localhost:7070") == 1
    site.pages["/watch"] = ("text/html", html.replace("http://localhost:7070", f"http://{address}"))
    page.open(f"{site.origin}/watch?job={job}")


def shown(page):
    """The events in the page."""
    return page.evaluate("[...document.querySelectorAll('li')].map(item => JSON.parse(item.textContent))")


def wait_for_events(page, count):
    page.until(f"document.querySelectorAll('li').length >= {count}")


def chunks(first, count):
    return [{"output": {"payload": {"text": f"chunk {number}"}}} for number in range(first, first + count)]


def assert_complete(events, chunk_count):
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    texts = [event["output"]["payload"]["text"] for event in events if "output" in event]
    assert texts == [f"chunk {number}" for number in range(chunk_count)]
    assert events[-1]["stateChange"]["state"] == "JOB_STATE_SUCCEEDED"


def cut_while_it_runs(page, proxy, server, lease):
    """Cuts the stream three times between events and at least three times within one. Returns the number of chunks."""
    sent = 0
    for _ in range(3):
        server.report(lease, *chunks(sent, 5))
        wait_for_events(page, sent + 7)
        proxy.cut()
        server.report(lease, *chunks(sent + 5, 5))
        sent += 10
    wait_for_events(page, sent + 2)
    cuts = proxy.cuts
    proxy.cut_after(1500)
    server.report(lease, *chunks(sent, 40))
    proxy.wait_for(cuts=cuts + 3)
    proxy.cut_after(None)
    return sent + 40


def wait_for_two_reconnects(page, site):
    """Waits while another source in the page reconnects twice. The followed one has the same delay."""
    site.pages["/other"] = ("text/event-stream", "retry: 1000\n\n")
    page.evaluate(f"void new EventSource('{site.origin}/other')")
    site.wait_for("/other", 3)


@pytest.mark.parametrize("closes", [True, False], ids=["closed by the page", "closed by the server"])
def test_a_cut_stream_resumes_and_stays_closed_after_the_end(page, site, open_server, proxy, closes):
    job = open_server.submit(KIND)
    lease = open_server.lease(KIND)
    html = page_of_docs()
    assert len(CLOSE.findall(html)) == 1
    follow(page, site, proxy.address, job, html if closes else CLOSE.sub("", html))
    sent = cut_while_it_runs(page, proxy, open_server, lease)
    open_server.report(lease, {"complete": {"result": {"text": "done"}}})
    page.until("source.readyState === EventSource.CLOSED")
    requests = page.requests("/events")
    assert_complete(shown(page), sent)
    assert (204 in page.statuses("/events")) == (not closes)
    wait_for_two_reconnects(page, site)
    assert page.requests("/events") == requests
    assert_complete(shown(page), sent)


def test_a_page_follows_a_job_over_a_restart_of_the_server(page, site, tmp_path):
    server = Server("--cors-origin", site.origin, "--data", str(tmp_path / "jobs"))
    job = server.submit(KIND)
    follow(page, site, server.address, job)
    wait_for_events(page, 1)
    server.stop()
    server.start()
    server.report(server.lease(KIND), *chunks(0, 3), {"complete": {}})
    page.until("source.readyState === EventSource.CLOSED")
    assert_complete(shown(page), 3)
    server.stop()
