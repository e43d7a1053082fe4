package io.github.jobstream.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.Client;
import io.github.jobstream.Feed;
import io.github.jobstream.Job;
import io.github.jobstream.JobEvent;
import io.github.jobstream.JobRequest;
import io.github.jobstream.JobState;
import io.github.jobstream.Payload;
import io.github.jobstream.SubmitResult;
import io.github.jobstream.Watch;
import io.github.jobstream.Worker;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/** The conformance agent: executes the commands from stdin, see clients/conformance/README.md. */
public final class Agent {
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private final ExecutorService commands = Executors.newCachedThreadPool();
    private final Handlers handlers = new Handlers();
    private final Map<String, Submitted> jobs = new ConcurrentHashMap<>();
    private final Map<Integer, AutoCloseable> running = new ConcurrentHashMap<>();
    private volatile Client client;

    private record Submitted(Client client, Job<Object> job) {}

    /** A command. Its number is repeated in every response. */
    record Command(int id, JsonNode fields, Agent agent) {
        Optional<Duration> duration(String name) {
            return Values.duration(fields, name);
        }

        int number(String name) {
            return fields.required(name).intValue();
        }

        String text(String name) {
            return fields.required(name).textValue();
        }

        void emit(ObjectNode event) {
            agent.write(id, "event", event);
        }
    }

    public static void main(String[] arguments) throws IOException {
        new Agent().serve();
        // Running workers end with the process.
        System.exit(0);
    }

    private void serve() throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode fields = Values.MAPPER.readTree(line);
            Command command = new Command(fields.required("id").intValue(), fields, this);
            commands.execute(() -> respond(command));
        }
    }

    private void respond(Command command) {
        ObjectNode respond;
        try {
            respond = run(command);
        } catch (Exception | AssertionError error) {
            write(command.id, "error", ErrorLines.of(error));
            return;
        }
        write(command.id, "ok", respond == null ? Values.object() : respond);
    }

    private void write(int id, String what, ObjectNode content) {
        String line = Values.object().put("id", id).set(what, content).toString();
        synchronized (out) {
            out.println(line);
            out.flush();
        }
    }

    private ObjectNode run(Command command) throws Exception {
        return switch (command.text("op")) {
            case "connect" -> connect(command);
            case "submit" -> submit(command);
            case "run" -> run(command, command.duration("wait"));
            case "load" -> load(command);
            case "result" -> result(command);
            case "state" -> state(job(command).state());
            case "cancel" -> cancel(command);
            case "watch" -> watch(command);
            case "feed" -> feed(command);
            case "work" -> work(command);
            case "release" -> handlers.release(command.text("job_id"), Values.payload(command.fields.get("payload")));
            case "list" -> Lists.jobs(client, command.fields);
            case "retry" -> submitted(client, client.retry(command.text("job_id")));
            case "delete" -> delete(command);
            case "batch" -> batch(command);
            case "queues" -> Lists.queues(client);
            case "pause" -> pause(command);
            case "resume" -> resume(command);
            case "purge" -> Values.object().put("cancelled", client.purgeQueue(command.text("queue")));
            case "drain" -> drain(command);
            case "stop" -> stop(command);
            default -> throw new IllegalArgumentException("unknown op: " + command.text("op"));
        };
    }

    private ObjectNode connect(Command command) {
        client = Client.connect(command.text("address"), options -> {
            command.duration("call_timeout").ifPresent(options::callTimeout);
            command.duration("patience").ifPresent(options::patience);
            Optional.ofNullable(command.fields.get("tries")).ifPresent(tries -> options.tries(tries.intValue()));
            Interceptors.ofSubmits(command.fields).forEach(options::interceptor);
        });
        return null;
    }

    private ObjectNode submit(Command command) throws Exception {
        Client current = client;
        Object input = SubmitFields.input(command.fields);
        return submitted(
                current,
                current.submit(
                        command.text("kind"),
                        input,
                        Object.class,
                        options -> SubmitFields.fill(options, command.fields)));
    }

    /** Retains the handle of a job for later commands. */
    private ObjectNode submitted(Client current, Job<Object> job) {
        jobs.put(job.id(), new Submitted(current, job));
        ObjectNode response = Values.object().put("job_id", job.id());
        job.waitReason().ifPresent(reason -> response.put("wait_reason", reason.name()));
        return response;
    }

    private ObjectNode batch(Command command) throws Exception {
        Client current = client;
        List<JobRequest> requests = new ArrayList<>();
        for (JsonNode fields : command.fields.required("jobs")) {
            requests.add(SubmitFields.request(fields));
        }
        ObjectNode response = Values.object();
        var results = response.putArray("results");
        for (SubmitResult<Object> result : current.submitAll(requests)) {
            results.add(result.error()
                    .map(error -> Values.object().<ObjectNode>set("error", ErrorLines.of(error)))
                    .orElseGet(() -> submitted(current, result.job())));
        }
        return response;
    }

    private ObjectNode delete(Command command) {
        client.delete(command.text("job_id"));
        return null;
    }

    private ObjectNode pause(Command command) {
        client.pauseQueue(command.text("queue"));
        return null;
    }

    private ObjectNode resume(Command command) {
        client.resumeQueue(command.text("queue"));
        return null;
    }

    private ObjectNode run(Command command, Optional<Duration> wait) throws Exception {
        String kind = command.text("kind");
        Object input = SubmitFields.input(command.fields);
        Payload payload = wait.isPresent()
                ? client.run(
                        kind, input, Payload.class, options -> SubmitFields.fill(options, command.fields), wait.get())
                : client.run(kind, input, Payload.class, options -> SubmitFields.fill(options, command.fields));
        return Values.object().set("payload", Values.encode(payload, Values.read(payload)));
    }

    private ObjectNode load(Command command) throws Exception {
        Client current = client;
        String kind = command.text("kind");
        List<Callable<Job<Object>>> submits = IntStream.range(0, command.number("jobs"))
                .<Callable<Job<Object>>>mapToObj(n -> () -> current.submit(kind, Map.of("n", n)))
                .toList();
        ExecutorService threads = Executors.newFixedThreadPool(command.number("in_flight"));
        try {
            long began = System.nanoTime();
            for (Future<?> submitted : threads.invokeAll(submits)) {
                submitted.get();
            }
            return Values.object().put("seconds", (System.nanoTime() - began) / 1e9);
        } finally {
            threads.shutdown();
        }
    }

    private Job<Object> job(Command command) {
        String jobId = command.text("job_id");
        Submitted submitted = jobs.get(jobId);
        return submitted != null && submitted.client == client ? submitted.job : client.job(jobId);
    }

    private ObjectNode result(Command command) throws Exception {
        Job<Object> job = job(command);
        Optional<Duration> timeout = command.duration("timeout");
        var payload = timeout.isPresent() ? job.payload(timeout.get()) : job.payload();
        return Values.object().set("payload", Values.encode(payload, payload.isJson() ? job.result() : null));
    }

    private ObjectNode cancel(Command command) {
        Job<Object> job = job(command);
        String reason = command.text("reason");
        return state(command.duration("grace")
                .map(grace -> job.cancel(reason, grace))
                .orElseGet(() -> job.cancel(reason)));
    }

    private static ObjectNode state(JobState state) {
        return Values.object().put("state", state.name());
    }

    private ObjectNode watch(Command command) {
        long after = command.fields.path("after").asLong(0);
        Job<Object> job = job(command);
        try (Watch watch = command.duration("heartbeat")
                .map(heartbeat -> job.watch(after, heartbeat))
                .orElseGet(() -> job.watch(after))) {
            running.put(command.id, watch);
            while (watch.hasNext()) {
                JobEvent event = watch.next();
                command.emit(Values.event(event));
            }
        } finally {
            running.remove(command.id);
        }
        return null;
    }

    private ObjectNode feed(Command command) {
        String after = command.fields.path("after_cursor").asText("");
        try (Feed feed = client.watchJobs(filter -> Feeds.fill(filter, command.fields), after)) {
            running.put(command.id, feed);
            while (feed.hasNext()) {
                command.emit(Feeds.item(feed.next()).put("cursor", feed.cursor()));
            }
        } finally {
            running.remove(command.id);
        }
        return null;
    }

    private ObjectNode work(Command command) {
        Optional<JsonNode> limit = Optional.ofNullable(command.fields.get("message_bytes_max"));
        Client own = command.fields.has("address")
                ? Client.connect(
                        command.text("address"),
                        options -> limit.ifPresent(bytes -> options.messageBytesMax(bytes.intValue())))
                : client;
        Worker.Builder builder = Worker.builder(own)
                .name(command.text("name"))
                .slots(command.fields.required("slots").intValue())
                .drainOnSignals(command.fields.path("signals").asBoolean(false))
                .onConnected(workerId -> command.emit(Values.object().put("type", "connected")));
        command.duration("drain_timeout").ifPresent(builder::drainTimeout);
        Interceptors.ofHandlers(command.fields).forEach(builder::interceptor);
        command.fields
                .required("handlers")
                .properties()
                .forEach(handler -> handlers.add(
                        builder, handler.getKey(), handler.getValue().textValue(), command));
        Worker worker = builder.build();
        running.put(command.id, worker::stop);
        workers.put(command.id, worker);
        try {
            worker.run();
        } finally {
            running.remove(command.id);
            workers.remove(command.id);
            if (own != client) {
                own.close();
            }
        }
        return null;
    }

    private final Map<Integer, Worker> workers = new ConcurrentHashMap<>();

    private ObjectNode drain(Command command) {
        Worker worker = workers.get(command.fields.required("target").intValue());
        if (worker != null) {
            worker.drain(command.duration("within").orElseThrow());
        }
        return null;
    }

    private ObjectNode stop(Command command) throws Exception {
        AutoCloseable target = running.get(command.fields.required("target").intValue());
        if (target != null) {
            target.close();
        }
        return null;
    }
}
