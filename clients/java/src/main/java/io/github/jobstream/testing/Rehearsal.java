package io.github.jobstream.testing;

import io.github.jobstream.Handler;
import io.github.jobstream.JobEvent;
import io.github.jobstream.Payload;
import java.util.List;
import java.util.Map;

/**
 * The former name of {@link DryRun}.
 *
 * @deprecated use {@link DryRun}
 */
@Deprecated
public final class Rehearsal {
    private final DryRun dryRun = new DryRun();

    /** See {@link DryRun#attempt}. */
    public Rehearsal attempt(int attempt) {
        dryRun.attempt(attempt);
        return this;
    }

    /** See {@link DryRun#headers}. */
    public Rehearsal headers(Map<String, String> headers) {
        dryRun.headers(headers);
        return this;
    }

    /** See {@link DryRun#payload}. */
    public Rehearsal payload(Payload payload) {
        dryRun.payload(payload);
        return this;
    }

    /** See {@link DryRun#cancel}. */
    public void cancel() {
        dryRun.cancel();
    }

    /** See {@link DryRun#run}. */
    public <I, O> O run(Handler<I, O> handler, I input) throws Exception {
        return dryRun.run(handler, input);
    }

    /** See {@link DryRun#events()}. */
    public List<JobEvent> told() {
        return dryRun.events();
    }

    /** See {@link DryRun#events(Class)}. */
    public <E extends JobEvent> List<E> told(Class<E> type) {
        return dryRun.events(type);
    }
}
