"""Fixtures: servers, proxies and agents. Each scenario runs once per chosen language."""

import pytest

from agent import Agent
from front import Front
from languages import AGENTS, EXCLUDED, SECURED
from proxy import Proxy
from server import Server


def pytest_addoption(parser):
    parser.addoption("--language", action="append", default=[], help="a name of languages.py; repeatable")


def pytest_configure(config):
    config.addinivalue_line("markers", "secured: needs an agent that takes credentials")
    if unknown := set(config.getoption("--language")) - set(AGENTS):
        raise pytest.UsageError(f"unknown language: {sorted(unknown)}; available: {', '.join(AGENTS)}")


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--language") or list(AGENTS)
    for fixture in ("language", "worker_language"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, chosen, scope="session")


def pytest_collection_modifyitems(config, items):
    excluded = [item for item in items if is_excluded(item)]
    config.hook.pytest_deselected(items=excluded)
    items[:] = [item for item in items if not is_excluded(item)]


def is_excluded(item):
    """Whether a language of the scenario cannot run it."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    languages = {parameters[fixture] for fixture in ("language", "worker_language") if fixture in parameters}
    if item.get_closest_marker("secured") and not languages <= SECURED:
        return True
    names = {item.originalname, item.path.stem}
    return any(names & EXCLUDED.get(language, {}).keys() for language in languages)


class Agents:
    """The agents of a test run. Each is started when it is first used, and again after it has ended."""

    def __init__(self):
        self.running = {}

    def get(self, language):
        agent = self.running.get(language)
        if agent is None or agent.process.poll() is not None:
            agent = self.running[language] = Agent(language, AGENTS[language])
        return agent


@pytest.fixture(scope="session")
def agents():
    agents = Agents()
    yield agents
    for agent in agents.running.values():
        if agent.process.poll() is None:
            agent.close()


@pytest.fixture(scope="session")
def server():
    """The server shared by the scenarios that need no flags."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def new_server():
    """Starts servers with flags."""
    servers = []

    def make(*flags):
        servers.append(Server(*flags))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def new_proxy():
    """Starts proxies to a server."""
    proxies = []

    def make(target):
        proxies.append(Proxy(target))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def proxy(new_proxy, server):
    return new_proxy(server.address)


@pytest.fixture
def new_front():
    """Starts HTTP servers that answer every call with a status."""
    fronts = []

    def make(status):
        fronts.append(Front(status))
        return fronts[-1]

    yield make
    for front in fronts:
        front.close()


@pytest.fixture
def agent(agents, language, server):
    """The agent of the language, connected to the shared server."""
    agent = agents.get(language)
    agent.connect(server.address)
    yield agent
    agent.stop_all()


@pytest.fixture
def worker_agent(agents, worker_language, server):
    """The agent of the language of the worker, connected to the shared server."""
    agent = agents.get(worker_language)
    agent.connect(server.address)
    yield agent
    agent.stop_all()
