package io.github.jobstream;

import io.github.jobstream.v1.JobSpec;
import java.util.List;
import java.util.function.Function;

/** The interceptors of a client. The first is the outermost. */
record SubmitChain(List<SubmitInterceptor> interceptors) {
    SubmitChain {
        interceptors = List.copyOf(interceptors);
    }

    /** Sends a job through the interceptors. */
    Submitted submit(JobSpec spec, Function<JobSpec, Submitted> send) {
        SubmitInterceptor.Next next = job -> send.apply(job.spec());
        for (int i = interceptors.size() - 1; i >= 0; i--) {
            SubmitInterceptor interceptor = interceptors.get(i);
            SubmitInterceptor.Next rest = next;
            next = job -> interceptor.intercept(job, rest);
        }
        return next.submit(new OutgoingJob(spec));
    }
}
