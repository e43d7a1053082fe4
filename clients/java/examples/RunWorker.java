import io.github.jobstream.Client;
import io.github.jobstream.JobContext;
import io.github.jobstream.PermanentException;
import io.github.jobstream.Worker;
import java.time.Duration;

/** A worker for jobs of kind "resize". Ctrl-C or SIGTERM drains it. */
public final class RunWorker {
    record Resize(int width) {}

    record Thumb(int width, int height) {}

    public static void main(String[] arguments) {
        try (Client client = arguments.length > 0 ? Client.connect(arguments[0]) : Client.connect()) {
            Worker.builder(client)
                    .name("thumbnails")
                    .slots(8)
                    .handle("resize", Resize.class, RunWorker::resize)
                    .drainTimeout(Duration.ofSeconds(20))
                    .onConnected(workerId -> System.out.println("connected as " + workerId))
                    .run();
            System.out.println("drained");
        }
    }

    private static Thumb resize(Resize input, JobContext context) throws InterruptedException {
        if (input.width() <= 0) {
            throw new PermanentException("width is " + input.width() + ", must be 1 or more");
        }
        context.progress(0.5, "decoding");
        // A cancellation interrupts this thread and ends the sleep.
        Thread.sleep(200);
        return new Thumb(input.width(), input.width() * 3 / 4);
    }
}
