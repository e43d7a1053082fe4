import io.github.jobstream.Client;
import io.github.jobstream.JobContext;
import io.github.jobstream.PermanentException;
import io.github.jobstream.Worker;
import java.time.Duration;

/** Serves jobs of kind "resize" until Ctrl-C or SIGTERM: then what runs may finish, and the rest is given back. */
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
            throw new PermanentException("a width of " + input.width() + " makes no image");
        }
        context.progress(0.5, "decoding");
        // A cancel interrupts the thread: there is nothing to do about it here.
        Thread.sleep(200);
        return new Thumb(input.width(), input.width() * 3 / 4);
    }
}
