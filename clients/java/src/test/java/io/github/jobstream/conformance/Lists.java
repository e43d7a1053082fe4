package io.github.jobstream.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.Client;
import io.github.jobstream.JobFilter;
import io.github.jobstream.JobState;
import io.github.jobstream.JobView;
import io.github.jobstream.QueueView;
import java.util.Optional;

/** Commands that list jobs and queues. */
final class Lists {
    private Lists() {}

    static ObjectNode jobs(Client client, JsonNode fields) {
        ObjectNode response = Values.object();
        var jobs = response.putArray("jobs");
        client.list(filter -> fill(filter, fields)).stream()
                .limit(fields.path("limit").asLong(Long.MAX_VALUE))
                .forEach(job -> jobs.add(encode(job)));
        return response;
    }

    static ObjectNode queues(Client client) {
        ObjectNode response = Values.object();
        var queues = response.putArray("queues");
        client.queues().forEach(queue -> queues.add(encode(queue)));
        return response;
    }

    private static void fill(JobFilter filter, JsonNode fields) {
        Optional.ofNullable(fields.get("state")).ifPresent(state -> filter.states(JobState.valueOf(state.textValue())));
        Optional.ofNullable(fields.get("kind")).ifPresent(kind -> filter.kind(kind.textValue()));
        Optional.ofNullable(fields.get("queue")).ifPresent(queue -> filter.queue(queue.textValue()));
        filter.labels(Values.strings(fields.path("labels")));
    }

    private static ObjectNode encode(JobView job) {
        return Values.object()
                .put("job_id", job.id())
                .put("kind", job.kind())
                .put("queue", job.queue())
                .put("state", job.state().name());
    }

    private static ObjectNode encode(QueueView queue) {
        return Values.object()
                .put("name", queue.name())
                .put("waiting", queue.waiting())
                .put("running", queue.running())
                .put("paused", queue.paused());
    }
}
