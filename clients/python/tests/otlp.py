"""Exports spans to the receiver of traces in tests/otlp, which refuses what the published protocol does not allow."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

RUN = Path(__file__).parents[3] / "tests/otlp/run"


class ReceivedSpan:
    """A span, with its ids in hexadecimal."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.name: str = line["name"]
        self.kind: str = line["kind"]
        self.trace_id: str = line["traceId"]
        self.span_id: str = line["spanId"]
        self.parent_id: str = line["parentSpanId"]
        """Empty for the root of a trace."""
        self.links = [(link["traceId"], link["spanId"]) for link in line["links"]]
        self.attributes: dict[str, Any] = line["attributes"]
        self.is_error = line["status"]["code"] == "ERROR"
        self.error: str = line["status"]["message"]
        self.exceptions: list[str] = [event["attributes"]["exception.type"] for event in line["events"]]
        self.line = json.dumps(line)

    def __repr__(self) -> str:
        return f"ReceivedSpan({self.line})"


class Receiver:
    """The spans that the receiver printed."""

    def __init__(self, lines: IO[str]) -> None:
        self.lines = lines
        self.address: str = json.loads(lines.readline())["grpc"]
        self.spans: list[ReceivedSpan] = []
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for text in self.lines:
            line = json.loads(text)
            assert "error" not in line, line
            with self.changed:
                self.spans.append(ReceivedSpan(line))
                self.changed.notify_all()

    def of_job(self, job_id: str, count: int) -> list[ReceivedSpan]:
        """The spans of a job, once there are this many: that of its submit, then both of each attempt."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.find(job_id)) >= count, 10), self.spans
            return sorted(self.find(job_id), key=position)

    def find(self, job_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.attributes.get("messaging.message.id") == job_id]

    def named(self, name: str, count: int = 1) -> list[ReceivedSpan]:
        """The newest spans with this name, once there are this many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.all_named(name)) >= count, 10), self.spans
            return self.all_named(name)[-count:]

    def all_named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]


def position(span: ReceivedSpan) -> tuple[int, str]:
    """Spans arrive in any order."""
    return span.attributes.get("jobstream.job.attempt", 0), span.name


@contextmanager
def receiving() -> Generator[Receiver]:
    """Starts the receiver."""
    with subprocess.Popen([RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield Receiver(process.stdout)
        process.stdin.close()


@contextmanager
def exporting(receiver: Receiver) -> Generator[TracerProvider]:
    """A provider that exports each span when it ends."""
    provider = TracerProvider(resource=Resource.create({"service.name": "tests"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(receiver.address, insecure=True)))
    yield provider
    provider.shutdown()
