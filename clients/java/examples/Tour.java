import io.github.jobstream.Client;
import io.github.jobstream.Job;
import io.github.jobstream.Watch;
import io.github.jobstream.Worker;

/** A worker and a client that submits a job and watches it. Start a server first: {@code jobstream dev}. */
public final class Tour {
    public static void main(String[] arguments) {
        try (Client client = Client.connect(); // JOBSTREAM_ADDRESS, else http://127.0.0.1:7070
                Worker worker = Worker.builder(client)
                        .handle("resize", Integer.class, (width, context) -> {
                            context.progress(0.5, "decoding");
                            return "resized to " + width;
                        })
                        .start()) { // A program that only works calls run(): SIGTERM drains it.
            Job<String> job = client.submit("resize", 640, String.class); // Safe to retry: one call is one job.
            try (Watch watch = job.watch()) { // Resumes by itself: none missed, none twice.
                watch.forEachRemaining(System.out::println);
            }
            System.out.println(job.result());
        }
    }
}
