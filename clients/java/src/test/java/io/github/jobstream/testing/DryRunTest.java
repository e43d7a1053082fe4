package io.github.jobstream.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jobstream.Handler;
import io.github.jobstream.JobContext;
import io.github.jobstream.JobEvent;
import io.github.jobstream.JobstreamException;
import io.github.jobstream.LogLevel;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;

class DryRunTest {
    private static int count(Integer to, JobContext context) {
        for (int i = 1; i <= to; i++) {
            context.checkCancelled();
            context.progressOf(i, to, "numbers");
            context.output(Integer.toString(i), "out");
        }
        context.log("done in attempt " + context.attempt(), LogLevel.WARN);
        return to;
    }

    @Test
    void aHandlerRunsWithoutAServer() throws Exception {
        DryRun dryRun = new DryRun().attempt(2);
        assertEquals(2, dryRun.run(DryRunTest::count, 2));
        assertEquals(5, dryRun.events().size());
        assertEquals(
                OptionalDouble.of(1),
                dryRun.events(JobEvent.Progress.class).get(1).fraction());
        assertEquals("2", dryRun.events(JobEvent.Output.class).get(1).payload().asText());
        assertEquals(
                "done in attempt 2", dryRun.events(JobEvent.Log.class).get(0).text());
    }

    @Test
    void progressWithoutATotalHasNoFraction() throws Exception {
        DryRun dryRun = new DryRun();
        dryRun.run(
                (input, context) -> {
                    context.progressOf(0, 0, "files");
                    return null;
                },
                0);
        assertEquals(
                OptionalDouble.empty(),
                dryRun.events(JobEvent.Progress.class).get(0).fraction());
    }

    @Test
    void theEndOfTheAttemptIsSettled() throws Exception {
        List<Optional<JobstreamException>> settled = new ArrayList<>();
        Handler<Integer, Integer> handler = (by, context) -> {
            context.onSettled(error -> {
                throw new IllegalStateException("has no effect");
            });
            context.onSettled(settled::add);
            assertEquals(List.of(), settled);
            return 1 / by;
        };
        assertEquals(1, new DryRun().run(handler, 1));
        assertEquals(List.of(Optional.empty()), settled);
        settled.clear();
        assertThrows(ArithmeticException.class, () -> new DryRun().run(handler, 0));
        assertEquals(List.of(Optional.empty()), settled);
    }

    @Test
    void aHandlerCanBeCancelled() {
        DryRun dryRun = new DryRun();
        dryRun.cancel();
        assertThrows(CancellationException.class, () -> dryRun.run(DryRunTest::count, 2));
    }
}
