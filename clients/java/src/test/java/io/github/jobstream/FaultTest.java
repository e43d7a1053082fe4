package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class FaultTest extends ProxyFixture {
    @Test
    void aWatchReturnsEveryEventOnceAcrossConnectionCuts() throws Exception {
        CompletableFuture<Void> goOn = new CompletableFuture<>();
        try (Worker worker = Worker.builder(direct)
                .handle("count", Integer.class, (count, context) -> {
                    for (int i = 0; i < count; i++) {
                        if (i == count / 2) {
                            goOn.get();
                        }
                        context.output(Integer.toString(i));
                    }
                    return count;
                })
                .start()) {
            Job<Integer> job = cut.submit("count", 200, Integer.class);
            List<String> seen = new ArrayList<>();
            try (Watch watch = job.watch()) {
                while (watch.hasNext()) {
                    if (watch.next() instanceof JobEvent.Output output) {
                        seen.add(output.payload().asText());
                        if (seen.size() == 50) {
                            proxy.cut();
                            goOn.complete(null);
                        } else if (seen.size() == 150) {
                            proxy.cut();
                        }
                    }
                }
            }
            assertEquals(IntStream.range(0, 200).mapToObj(Integer::toString).toList(), seen);
            assertEquals(200, job.result());
        }
    }

    @Test
    void aWorkerContinuesItsAttemptsAfterAConnectionCut() throws Exception {
        LinkedBlockingQueue<String> connections = new LinkedBlockingQueue<>();
        CountDownLatch started = new CountDownLatch(2);
        CompletableFuture<Object> result = new CompletableFuture<>();
        try (Worker worker = Worker.builder(cut)
                .slots(2)
                .onConnected(connections::add)
                .handle("hold", Object.class, (input, context) -> {
                    started.countDown();
                    return result.get() + " in attempt " + context.attempt();
                })
                .start()) {
            String first = connections.take();
            List<Job<Object>> jobs = List.of(direct.submit("hold", 1), direct.submit("hold", 2));
            started.await();
            for (Job<Object> job : jobs) {
                awaitRunning(job);
            }
            for (int i = 0; i < 3; i++) {
                proxy.cut();
                assertEquals(first, connections.take(), "the worker id is the same after the reconnect");
            }
            result.complete("done");
            for (Job<Object> job : jobs) {
                assertEquals("done in attempt 1", job.result());
                assertEquals(1, direct.get(job.id()).message().getAttemptsCount());
            }
        }
    }

    /** Before RUNNING, the server has not received the acceptance, and a cut would make it assign the job again. */
    private static void awaitRunning(Job<?> job) {
        try (var events = job.watch().stream()) {
            assertTrue(events.anyMatch(
                    event -> event instanceof JobEvent.StateChange change && change.state() == JobState.RUNNING));
        }
    }

    @Test
    void aJobLostByARestartIsServerRestarted() {
        Job<Object> job = direct.submit("unserved", 1);
        assertEquals(JobState.QUEUED, job.state());
        restartServer();
        assertThrows(ServerRestartedException.class, job::state);
        Job<Object> next = direct.submit("unserved", 1);
        next.cancel("");
        assertEquals(JobState.CANCELLED, next.state(), "jobs of the new server are not reported as lost");
    }
}
