"""A strict receiver of OTLP traces, over gRPC and HTTP (protobuf and JSON), built from the published protocol.

The first line of its output has its addresses: {"grpc": "http://127.0.0.1:4317", "http": "http://127.0.0.1:4318"}. Each span
is a further line; a request that breaks the protocol is refused, and a line {"error": "..."} says why. The receiver ends when its
standard input is closed, so it does not outlive the test that started it.
"""

import argparse
import base64
import gzip
import json
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import json_format, unknown_fields
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATH = "/v1/traces"
BODY_BYTES_MAX = 16 << 20
IDS = ("traceId", "spanId", "parentSpanId")
output = threading.Lock()


class Violation(Exception):
    """What breaks the protocol in a request."""


def write(line):
    with output:
        print(json.dumps(line, sort_keys=True), flush=True)


def value(any_value):
    """The value of an attribute, as JSON."""
    which = any_value.WhichOneof("value")
    if which == "array_value":
        return [value(one) for one in any_value.array_value.values]
    if which == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    if which == "bytes_value":
        return any_value.bytes_value.hex()
    return getattr(any_value, which) if which else None


def attributes(pairs):
    names = [pair.key for pair in pairs]
    if len(set(names)) != len(names) or "" in names:
        raise Violation(f"attributes need unique names: {names}")
    return {pair.key: value(pair.value) for pair in pairs}


def identifier(name, identifier_bytes, length):
    if len(identifier_bytes) != length or not any(identifier_bytes):
        raise Violation(f"{name} is {identifier_bytes.hex()!r}: it needs {length} bytes that are not all zero")
    return identifier_bytes.hex()


def refuse_unknown_fields(message: Message):
    if len(unknown_fields.UnknownFieldSet(message)):
        raise Violation(f"{message.DESCRIPTOR.full_name} has a field that the protocol does not have")
    for field, content in message.ListFields():
        if field.message_type is not None:
            for one in [content] if isinstance(content, Message) else content:
                refuse_unknown_fields(one)


def describe(span: Span, resource, scope):
    if not span.name:
        raise Violation("a span has no name")
    if span.kind == Span.SPAN_KIND_UNSPECIFIED:
        raise Violation(f"{span.name!r} has no kind")
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        raise Violation(f"{span.name!r} ends before it starts")
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "traceId": identifier("trace_id", span.trace_id, 16),
        "spanId": identifier("span_id", span.span_id, 8),
        "parentSpanId": identifier("parent_span_id", span.parent_span_id, 8) if span.parent_span_id else "",
        "traceState": span.trace_state,
        "links": [
            {"traceId": identifier("link", link.trace_id, 16), "spanId": identifier("link", link.span_id, 8)}
            for link in span.links
        ],
        "attributes": attributes(span.attributes),
        "events": [{"name": event.name, "attributes": attributes(event.attributes)} for event in span.events],
        "status": {
            "code": Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
            "message": span.status.message,
        },
        "resource": resource,
        "scope": scope,
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
    }


def receive(request):
    """Writes the spans of a request, all or none."""
    try:
        refuse_unknown_fields(request)
        spans = []
        for of_resource in request.resource_spans:
            resource = attributes(of_resource.resource.attributes)
            if not resource.get("service.name"):
                raise Violation(f"the resource has no service.name: {resource}")
            for of_scope in of_resource.scope_spans:
                spans += [describe(span, resource, of_scope.scope.name) for span in of_scope.spans]
    except Violation as violation:
        write({"error": str(violation)})
        raise
    for span in spans:
        write(span)
    return trace_service_pb2.ExportTraceServiceResponse()


class Grpc(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        try:
            return receive(request)
        except Violation as violation:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(violation))


def with_base64_ids(node):
    """OTLP writes ids in JSON as hex digits, protobuf expects base64."""
    if isinstance(node, list):
        return [with_base64_ids(one) for one in node]
    if isinstance(node, dict):
        return {
            name: base64.b64encode(bytes.fromhex(one)).decode() if name in IDS else with_base64_ids(one)
            for name, one in node.items()
        }
    return node


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_BYTES_MAX:
            return self.answer(413, b"", "text/plain")
        body = self.rfile.read(length)
        kind = self.headers.get_content_type()
        if self.path != PATH:
            return self.answer(404, b"", "text/plain")
        try:
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request = trace_service_pb2.ExportTraceServiceRequest()
            if kind == "application/json":
                json_format.ParseDict(with_base64_ids(json.loads(body)), request)
            elif kind == "application/x-protobuf":
                request.ParseFromString(body)
            else:
                return self.answer(415, b"", "text/plain")
            answer = receive(request)
        except (Violation, DecodeError, json_format.ParseError, ValueError, OSError) as error:
            if not isinstance(error, Violation):
                write({"error": str(error)})
            return self.answer(400, str(error).encode(), "text/plain")
        encoded = b"{}" if kind == "application/json" else answer.SerializeToString()
        return self.answer(200, encoded, kind)

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc", default="127.0.0.1:0", help="address for OTLP over gRPC")
    parser.add_argument("--http-port", type=int, default=0, help="port for OTLP over HTTP")
    parser.add_argument("--certificate", help="file in PEM: both addresses use TLS")
    parser.add_argument("--key", help="file in PEM, the key of the certificate")
    options = parser.parse_args()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", BODY_BYTES_MAX)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Grpc(), server)
    http = ThreadingHTTPServer(("127.0.0.1", options.http_port), Http)
    if options.certificate:
        scheme = "https"
        with open(options.key, "rb") as key, open(options.certificate, "rb") as certificate:
            credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
        grpc_port = server.add_secure_port(options.grpc, credentials)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    else:
        scheme = "http"
        grpc_port = server.add_insecure_port(options.grpc)
    server.start()
    threading.Thread(target=http.serve_forever, daemon=True).start()
    addresses = {"grpc": grpc_port, "http": http.server_port}
    write({protocol: f"{scheme}://127.0.0.1:{port}" for protocol, port in addresses.items()})
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
