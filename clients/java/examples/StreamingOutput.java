import io.github.jobstream.Client;
import io.github.jobstream.Job;
import io.github.jobstream.JobContext;
import io.github.jobstream.JobEvent;
import io.github.jobstream.Watch;
import io.github.jobstream.Worker;

/** Streams a text word by word from a handler to a watcher, as a language model would. */
public final class StreamingOutput {
    public static void main(String[] arguments) {
        try (Client client = arguments.length > 0 ? Client.connect(arguments[0]) : Client.connect();
                Worker worker = Worker.builder(client)
                        .handle("recite", String.class, StreamingOutput::recite)
                        .start()) {
            Job<Integer> job = client.submit("recite", "a job is a small stream of events", Integer.class);
            try (Watch watch = job.watch()) {
                watch.stream()
                        .filter(JobEvent.Output.class::isInstance)
                        .map(JobEvent.Output.class::cast)
                        .forEach(output -> System.out.print(output.payload().asText()));
            }
            System.out.println("(" + job.result() + " words)");
        }
    }

    private static int recite(String text, JobContext context) throws InterruptedException {
        String[] words = text.split(" ");
        for (String word : words) {
            context.output(word + " ");
            Thread.sleep(20);
        }
        return words.length;
    }
}
