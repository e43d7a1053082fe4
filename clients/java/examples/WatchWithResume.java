import io.github.jobstream.Client;
import io.github.jobstream.Job;
import io.github.jobstream.JobEvent;
import io.github.jobstream.Watch;

/**
 * Watches a job, stops, and resumes: every event is printed once. Resuming like this is for another process; after a
 * lost connection a watch resumes by itself.
 */
public final class WatchWithResume {
    public static void main(String[] arguments) {
        try (Client client = arguments.length > 0 ? Client.connect(arguments[0]) : Client.connect()) {
            Job<Object> job = client.submit("recite", "every event comes once");
            long last;
            try (Watch watch = job.watch()) {
                for (int i = 0; i < 3 && watch.hasNext(); i++) {
                    print(watch.next());
                }
                last = watch.lastSequence();
            }
            System.out.println("stopped after event " + last);
            try (Watch watch = job.watch(last)) {
                watch.forEachRemaining(WatchWithResume::print);
            }
        }
    }

    private static void print(JobEvent event) {
        String what = event.sequence() + " ";
        if (event instanceof JobEvent.StateChange change) {
            what += change.state();
        } else if (event instanceof JobEvent.Progress progress) {
            what += "progress " + progress.message();
        } else if (event instanceof JobEvent.Output output) {
            what += "output " + output.payload().asText();
        } else if (event instanceof JobEvent.Log log) {
            what += log.level() + " " + log.text();
        } else if (event instanceof JobEvent.Gap gap) {
            what += "no longer retained from " + gap.first();
        }
        System.out.println(what);
    }
}
