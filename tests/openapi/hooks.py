"""Hooks of schemathesis: what a schema cannot express, and what would make a test wait."""

import math
import re
import uuid
from types import SimpleNamespace

import schemathesis
from jsonschema import Draft202012Validator

DURATION = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?s")
SHORT = "0.05s"
WHOLE_NUMBER = re.compile(r"-?[0-9]+(\.0*)?")
EXACT_NUMBER_MAX = 2**53
KEY_BYTES_MAX = 64
"""Longest key of a header or label of a job. A schema can only bound its characters."""
VALIDATORS = {}
"""The validators of the schemas in the document, by the id of the schema."""
BOOLEANS = ("true", "false")
BATCH = "/v1/jobs:batch"
EITHER = SimpleNamespace(is_positive=False, is_negative=False, value="negative")
"""The mode of a case that may be accepted or refused."""


@schemathesis.hook
def before_call(context, case, kwargs):
    """Ends every wait and every stream soon: a job ends after its timeout."""
    is_open = not is_positive(case) and may_be_accepted(case)
    shorten_wait(case.query)
    if isinstance(case.body, dict):
        shorten_wait(case.body)
        jobs = case.body.get("jobs")
        for job in jobs if isinstance(jobs, list) else [case.body.get("job"), case.body]:
            if isinstance(job, dict) and "kind" in job and is_duration(job.get("timeout", SHORT)):
                job["timeout"] = SHORT
        if case.operation.path == BATCH and not is_positive(case) and case.body.get("atomic") in (None, False):
            # Else the error of a job is in its result.
            case.body["atomic"] = True
    if is_positive(case):
        adapt(case)
    if is_open:
        # Last: a change of the case sets its mode again.
        case.meta.generation.mode = EITHER


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def is_duration(value):
    return isinstance(value, str) and DURATION.fullmatch(value) is not None


def shorten_wait(values):
    if isinstance(values, dict) and is_duration(values.get("wait")):
        values["wait"] = SHORT


def adapt(case):
    """Makes a case valid that only the schema allows."""
    query, headers = case.query or {}, case.headers or {}
    # A token is valid only if it came with the page before, a sequence only if the job has it.
    query.pop("pageToken", None)
    # A job that is only validated does not exist for the next request.
    query.pop("validateOnly", None)
    for values, name in [(query, "afterSequence"), (headers, "Last-Event-ID")]:
        if name in values:
            values[name] = type(values[name])(1)
    if isinstance(case.body, dict) and has_job_id(case.body):
        headers.pop("Idempotency-Key", None)
    if isinstance(case.body, dict) and case.body.get("requestId"):
        # Of a request with other fields.
        case.body["requestId"] = str(uuid.uuid4())
    adapt_value(case.body)


def has_job_id(body):
    """Whether the body has the id that an Idempotency-Key sets."""
    job = body.get("job")
    return bool(body.get("jobId") or body.get("newJobId") or (isinstance(job, dict) and job.get("jobId")))


def adapt_value(value):
    if isinstance(value, list):
        for item in value:
            adapt_value(item)
    if not isinstance(value, dict):
        return
    if "initialBackoff" in value or "maxBackoff" in value:
        # The second must not be below the first.
        value["initialBackoff"] = value["maxBackoff"] = "1s"
    if "json" in value:
        value["json"] = exact(value["json"])
    for name in ("headers", "labels"):
        if isinstance(value.get(name), dict):
            value[name] = {shortened(key): item for key, item in value[name].items()}
    for item in value.values():
        adapt_value(item)


def shortened(key):
    return key.encode(errors="surrogatepass")[:KEY_BYTES_MAX].decode(errors="ignore")


def exact(value):
    """The JSON value with numbers that a double holds."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not (math.isfinite(value) and abs(value) < EXACT_NUMBER_MAX):
        return 1
    return value


def may_be_accepted(case):
    """Whether a case that is invalid by the schema may be valid by what the JSON mapping accepts beside it."""
    operation = case.operation
    definition = operation.schema.raw_schema["paths"][operation.path][operation.method.lower()]
    known = {parameter["name"].lower(): parameter["schema"] for parameter in definition.get("parameters", [])}
    headers = {name: value for name, value in (case.headers or {}).items() if name.lower() in known}
    for values in [case.path_parameters, case.query, headers]:
        for name, value in (values or {}).items():
            schema = known.get(name.lower())
            if schema is None or not (value in (None, "") or is_valid(case, schema, value)):
                return False
    if "requestBody" not in definition:
        return True
    schema = definition["requestBody"]["content"]["application/json"]["schema"]
    return isinstance(case.body, dict) and is_valid(case, schema, case.body)


def is_valid(case, schema, value):
    if id(schema) not in VALIDATORS:
        root = {**schema, "components": case.operation.schema.raw_schema["components"]}
        VALIDATORS[id(schema)] = Draft202012Validator(root)
    return any(VALIDATORS[id(schema)].is_valid(lenient(value, parsed)) for parsed in (False, True))


def lenient(value, parsed):
    """The value as the JSON mapping reads it: a default is an absent field, and texts may be parsed."""
    if isinstance(value, list):
        return [lenient(item, parsed) for item in value]
    if isinstance(value, dict):
        left = {name: item for name, item in value.items() if not is_default(item)}
        if is_report(value):
            # An error in a payload is in the result of its report.
            return {name: lenient(without(item, "contentType"), parsed) for name, item in left.items()}
        return {name: lenient(item, parsed) for name, item in left.items()}
    if parsed and value in BOOLEANS:
        return value == "true"
    if parsed and isinstance(value, str) and WHOLE_NUMBER.fullmatch(value):
        return int(value.split(".")[0])
    return value


def is_default(value):
    return value is None or value == "" or (value == 0 and not isinstance(value, bool))


def is_report(value):
    return "leaseId" in value


def without(value, name):
    """The value without a field of this name, however deep."""
    if isinstance(value, list):
        return [without(item, name) for item in value]
    if isinstance(value, dict):
        return {key: without(item, name) for key, item in value.items() if key != name}
    return value
