"""The commands of callers, and the start of workers."""

import re
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import wire
from calls import Backoff, Http
from events import Feed, Watch
from wire import ApiError, NotFinished
from working import Worker

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
POLL = 10.0
"""The longest wait of one request for a result, in seconds."""
PAGE = 1_000
BATCH_JOBS_MAX, BATCH_BYTES_MAX = 1_000, 3_000_000
DRAIN_TIMEOUT = 10.0


class Caller:
    def __init__(self):
        self.http = None
        self.boot = None
        self.boots = {}
        self.running = {}
        self.workers_with_signals = []
        self.held = {}

    def connect(self, line):
        self.http, self.boot = Http(line["address"], line), None
        self.boots.clear()
        return {}

    def submitted(self, response):
        """The response to a submit, a retry or an entry of a batch. Saves the boot of the server, the only one that knows
        the job in memory mode."""
        if self.boot is None:
            _, info = self.http.call("GET", "/v1/server")
            self.boot = info["bootId"]
        self.boots[response["jobId"]] = self.boot
        wait_reason = response.get("waitReason", "").removeprefix("WAIT_REASON_")
        return {"job_id": response["jobId"], "wait_reason": wait_reason}

    def of_job(self, job_id, method, action="", body=None, **options):
        try:
            return self.http.call(method, f"/v1/jobs/{checked(job_id)}{action}", body, **options)[1]
        except ApiError as error:
            raise self.restarted(job_id, error) from error

    def restarted(self, job_id, error):
        boot = error.problem.get("metadata", {}).get("boot_id")
        if error.reason == "JOB_NOT_FOUND" and boot and self.boots.get(job_id, boot) != boot:
            return ApiError(error.code, "SERVER_RESTARTED", f"a restart of the server lost the job: {error.message}")
        return error

    def submit(self, line):
        try:
            _, response = self.http.call("POST", "/v1/jobs", own_spec(line), headers=key_of(line))
        except ApiError as error:
            raise of_spec(error) from error
        return self.submitted(response)

    def run(self, line):
        body = {"job": own_spec(line), "types": ["EVENT_TYPE_STATE_CHANGE"]}
        watch = Watch(self.http, None, types=["STATE_CHANGE"], body=body, headers=key_of(line))
        timer = threading.Timer(line["wait"] / 1000, watch.stop) if "wait" in line else None
        if timer:
            timer.start()
        for _, event in watch:
            if watch.is_ended:
                return {"payload": wire.from_api(wire.result_of(event["stateChange"]["outcome"]))}
        raise NotFinished("the job continues")

    def load(self, line):
        def submit(number):
            payload = {"text": f'{{"n":{number}}}', "contentType": "application/json"}
            body = {"jobId": str(uuid.uuid4()), "kind": line["kind"], "payload": payload}
            self.http.call("POST", "/v1/jobs", body)

        began = time.perf_counter()
        with ThreadPoolExecutor(line["in_flight"]) as threads:
            for _ in threads.map(submit, range(line["jobs"])):
                pass
        return {"seconds": time.perf_counter() - began}

    def result(self, line):
        job_id = checked(line["job_id"])
        until = time.monotonic() + line["timeout"] / 1000 if "timeout" in line else float("inf")
        backoff, alive = Backoff(), time.monotonic()
        while True:
            wait = max(0.0, min(POLL, until - time.monotonic()))
            try:
                status, result = self.http.wait("GET", f"/v1/jobs/{job_id}/result?wait={wait:.3f}s", None, wait)
            except ApiError as error:
                pause = backoff.pause(error)
                if not error.is_transient or time.monotonic() + pause - alive > self.http.patience:
                    raise self.restarted(job_id, error) from error
                time.sleep(pause)
                continue
            if status == 200:
                return {"payload": wire.from_api(wire.result_of(result["outcome"]))}
            backoff, alive = Backoff(), time.monotonic()
            if alive >= until:
                raise NotFinished(f"the job is {result['state']}")

    def state(self, line):
        return {"state": wire.state_of(self.of_job(line["job_id"], "GET")["job"]["state"])}

    def cancel(self, line):
        body = {"reason": line["reason"]} | ({"grace": wire.duration(line["grace"])} if "grace" in line else {})
        return {"state": wire.state_of(self.of_job(line["job_id"], "POST", ":cancel", body)["state"])}

    def retry(self, line):
        return self.submitted(self.of_job(line["job_id"], "POST", ":retry", {"newJobId": str(uuid.uuid4())}))

    def delete(self, line):
        try:
            self.of_job(line["job_id"], "DELETE", tries=1)
        except ApiError as first:
            if not first.is_transient:
                raise
            try:
                self.of_job(line["job_id"], "DELETE")
            except ApiError as error:
                # The first request may have removed the job.
                if error.reason not in ("JOB_NOT_FOUND", "RESULT_EXPIRED"):
                    raise
        return {}

    def list(self, line):
        parameters = [(name, line[name]) for name in ("state", "kind", "queue") if name in line]
        parameters += [(f"label.{name}", value) for name, value in line.get("labels", {}).items()]
        jobs = []
        for page in self.pages("/v1/jobs", parameters):
            for job in page["jobs"]:
                spec, state = job["spec"], wire.state_of(job["state"])
                jobs.append({"job_id": job["jobId"], "kind": spec["kind"], "queue": spec["queue"], "state": state})
                if len(jobs) == line.get("limit"):
                    return {"jobs": jobs}
        return {"jobs": jobs}

    def pages(self, path, parameters):
        token = ""
        while True:
            query = urllib.parse.urlencode([*parameters, ("pageSize", PAGE), ("pageToken", token)])
            _, page = self.http.call("GET", f"{path}?{query}")
            yield page
            token = page["nextPageToken"]
            if not token:
                return

    def batch(self, line):
        specs = [own_spec(job) | {"jobId": job.get("job_id") or str(uuid.uuid4())} for job in line["jobs"]]
        results = []
        for part in parts(specs):
            _, response = self.http.call("POST", "/v1/jobs:batch", {"jobs": part})
            results += [self.batch_result(result) for result in response["results"]]
        return {"results": results}

    def batch_result(self, result):
        if "error" in result:
            return {"error": wire.error_of(wire.problem_error(result["error"]))}
        return self.submitted(result["submitted"])

    def queues(self, _):
        queues = [queue for page in self.pages("/v1/queues", []) for queue in page["queues"]]
        return {"queues": [counted(queue) for queue in queues]}

    def of_queue(self, line, action, **options):
        return self.http.call("POST", f"/v1/queues/{line['queue']}:{action}", {}, **options)[1]

    def pause(self, line):
        self.of_queue(line, "pause")
        return {}

    def resume(self, line):
        self.of_queue(line, "resume")
        return {}

    def purge(self, line):
        # A second request would cancel later jobs too.
        return {"cancelled": self.of_queue(line, "purge", tries=1)["purged"]}

    def watch(self, line):
        heartbeat = {"heartbeat": line["heartbeat"] / 1000} if "heartbeat" in line else {}
        watch = Watch(self.http, checked(line["job_id"]), line.get("after", 0), **heartbeat)
        self.running[line["id"]] = watch
        try:
            for name, event in watch:
                wire.write(line["id"], event=wire.watch_item(name, event))
        except ApiError as error:
            raise self.restarted(line["job_id"], error) from error
        return {}

    def feed(self, line):
        feed = self.running[line["id"]] = Feed(self.http, line)
        for name, item in feed:
            wire.write(line["id"], event=wire.feed_item(name, item) | {"cursor": feed.last})
        return {}

    def work(self, line):
        http = Http(line["address"], {}) if "address" in line else self.http
        worker = Worker(http, line, lambda event: wire.write(line["id"], event=event), self.held)
        self.running[line["id"]] = worker
        if line.get("signals"):
            self.workers_with_signals.append((worker, line.get("drain_timeout", DRAIN_TIMEOUT * 1000) / 1000))
        worker.run()
        return {}

    def drain_on_signal(self):
        for worker, timeout in self.workers_with_signals:
            threading.Thread(target=worker.drain, args=(timeout,), daemon=True).start()

    def release(self, line):
        self.held[line["job_id"]].put(wire.to_api(line["payload"]))
        return {}

    def drain(self, line):
        self.running[line["target"]].drain(line["within"] / 1000)
        return {}

    def stop(self, line):
        self.running[line["target"]].stop()
        return {}


def checked(job_id):
    """A job id that is a UUID."""
    if not UUID.fullmatch(job_id):
        raise ApiError("", "", f"the job id {job_id!r} is not a UUID")
    return job_id


def own_spec(line):
    """The JobSpec of a submit, with the id of the job if the scenario sets it."""
    return wire.spec_of(line) | ({"jobId": checked(line["job_id"])} if "job_id" in line else {})


def key_of(line):
    """The header that makes a request safe to repeat if the scenario sets no id."""
    return {} if "job_id" in line else {"idempotency-key": f'"request {uuid.uuid4()}"'}


def of_spec(error):
    """The error of a submit with the fields of the request: its body is the field `job`."""
    for violation in error.problem.get("violations", []):
        violation["field"] = f"job.{violation['field']}"
    return error


def parts(specs):
    """The jobs in requests within the limits of the server."""
    part, size = [], 0
    for spec in specs:
        size += len(spec["payload"].get("text", "")) + len(spec["payload"].get("data", ""))
        if part and (len(part) == BATCH_JOBS_MAX or size > BATCH_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(spec)
    if part:
        yield part


def counted(queue):
    counts = {name: int(queue["counts"][name]) for name in ("scheduled", "queued", "running")}
    waiting = counts["scheduled"] + counts["queued"]
    return {"name": queue["queue"], "waiting": waiting, "running": counts["running"], "paused": queue["paused"]}
