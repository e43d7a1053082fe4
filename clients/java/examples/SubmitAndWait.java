import io.github.jobstream.Client;
import io.github.jobstream.Job;
import io.github.jobstream.JobFailedException;
import io.github.jobstream.NotFinishedException;
import java.time.Duration;

/** Submits a job with typed data and prints its result. Start a worker first: see RunWorker.java. */
public final class SubmitAndWait {
    record Resize(int width) {}

    record Thumb(int width, int height) {}

    public static void main(String[] arguments) {
        try (Client client = arguments.length > 0 ? Client.connect(arguments[0]) : Client.connect()) {
            Job<Thumb> job = client.submit("resize", new Resize(64), Thumb.class, options -> options.maxAttempts(3)
                    .label("album", "summer"));
            System.out.println("accepted " + job.id());
            Thumb thumb = job.result(Duration.ofSeconds(30));
            System.out.println(thumb.width() + " x " + thumb.height());
        } catch (JobFailedException error) {
            System.out.println("failed in attempt " + error.failure().attempt() + ": " + error.getMessage());
        } catch (NotFinishedException error) {
            System.out.println("still running: " + error.getMessage());
        }
    }
}
