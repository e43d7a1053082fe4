package io.github.jobstream.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.ChangeFilter;
import io.github.jobstream.FeedItem;
import io.github.jobstream.JobState;
import java.util.Optional;
import java.util.stream.StreamSupport;

/** Converts the filter and the items of a feed. */
final class Feeds {
    private Feeds() {}

    static void fill(ChangeFilter filter, JsonNode fields) {
        Optional.ofNullable(fields.get("states"))
                .ifPresent(states -> filter.states(StreamSupport.stream(states.spliterator(), false)
                        .map(state -> JobState.valueOf(state.textValue()))
                        .toArray(JobState[]::new)));
        Optional.ofNullable(fields.get("kind")).ifPresent(kind -> filter.kind(kind.textValue()));
        Optional.ofNullable(fields.get("queue")).ifPresent(queue -> filter.queue(queue.textValue()));
        filter.labels(Values.strings(fields.path("labels")));
    }

    static ObjectNode item(FeedItem item) {
        if (item instanceof FeedItem.Gap gap) {
            return Values.object().put("type", "gap").put("missed", gap.missed());
        }
        FeedItem.Change change = (FeedItem.Change) item;
        ObjectNode line = Values.object()
                .put("type", "change")
                .put("job_id", change.jobId())
                .put("kind", change.kind())
                .put("queue", change.queue());
        line.set("labels", Values.MAPPER.valueToTree(change.labels()));
        return line.set("event", Values.event(change.event()));
    }
}
