"""Pages of another origin call the server if an option allows them, and are blocked otherwise."""

import re

import pytest
from conftest import ROOT

SUBMIT = """fetch('{url}/v1/jobs', {{
  method: 'POST', headers: {{'content-type': 'application/json'}}, body: '{{"kind": "{kind}"}}'
}}).then(response => response.json())"""
BODIES = {
    "a text": '\'{"kind": "cors.blind"}\'',
    "no content type": 'new Blob([\'{"kind": "cors.blind"}\'])',
    "a form": "new URLSearchParams({kind: 'cors.blind'})",
}


def submit_of_docs(url):
    """The JavaScript of docs/browser.md, which submits a job, as an expression of its id."""
    (block,) = re.findall(r"\n```js\n(.*?)\n```", (ROOT / "docs" / "browser.md").read_text(), re.DOTALL)
    assert block.count("http://localhost:7070") == 1
    return f"(async () => {{ {block.replace('http://localhost:7070', url)}; return jobId }})()"


def test_an_allowed_page_submits_a_job_and_follows_it(page, site, open_server):
    page.open(site.origin)
    job = page.evaluate(submit_of_docs(open_server.url))
    followed = f"""new Promise((done, failed) => {{
      const source = new EventSource('{open_server.url}/v1/jobs/{job}/events')
      source.onerror = failed
      source.addEventListener('stateChange', ({{ data }}) => {{
        if (JSON.parse(data).stateChange.outcome) done(source.close())
      }})
    }})"""
    page.evaluate(followed)
    request_id = "response.headers.get('x-request-id')"
    assert page.evaluate(f"fetch('{open_server.url}/v1/jobs/{job}').then(response => {request_id})")


def test_a_foreign_page_is_blocked(page, site, server):
    page.open(site.origin)
    kind = "cors.foreign"
    assert page.evaluate(SUBMIT.format(url=server.url, kind=kind) + ".catch(error => error.name)") == "TypeError"
    closed = f"""new Promise(done => {{
      const source = new EventSource('{server.url}/v1/jobs/{server.submit("demo.echo")}/events')
      source.onerror = () => done(source.readyState)
    }})"""
    assert page.evaluate(closed) == 2
    assert jobs_of(server, kind) == []


@pytest.mark.parametrize("body", BODIES)
def test_a_foreign_page_cannot_submit_blindly(page, site, server, body):
    """Such requests need no preflight: the browser sends them and hides the response."""
    page.open(site.origin)
    sent = f"fetch('{server.url}/v1/jobs', {{method: 'POST', mode: 'no-cors', body: {BODIES[body]}}})"
    assert page.evaluate(f"{sent}.then(response => response.type)") == "opaque"
    assert jobs_of(server, "cors.blind") == []


def jobs_of(server, kind):
    return server.get(f"/v1/jobs?kind={kind}")["jobs"]
