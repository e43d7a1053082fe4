package io.github.jobstream;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JavaType;
import io.github.jobstream.v1.DeleteRequest;
import io.github.jobstream.v1.DeleteResponse;
import io.github.jobstream.v1.GetJobRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.RetryRequest;
import io.github.jobstream.v1.SubmitRequest;
import io.grpc.Channel;
import io.grpc.Metadata;
import io.grpc.Status;
import java.lang.reflect.Type;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A client of one server. It connects at the first call. It is thread-safe: create one per program. Closing it ends
 * every wait and watch; jobs continue.
 *
 * <pre>{@code
 * try (Client client = Client.connect("http://127.0.0.1:7070")) {
 *     Job<Thumb> job = client.submit("resize", new Resize(64), Thumb.class, options -> options.queue("media"));
 *     Thumb thumb = job.result(Duration.ofSeconds(30));
 * }
 * }</pre>
 *
 * <p>Inputs are encoded as JSON, except {@code byte[]}, which is sent as bytes, and {@link Payload}, which is sent
 * unchanged. Every call may throw {@link UnavailableException} or {@link DeadlineExceededException}. A submit may then
 * be repeated with the same job id: there is only one job.
 */
public final class Client implements AutoCloseable {
    private final BootId bootId = new BootId();
    private final Calls calls;
    private final Codec codec;
    private final SubmitChain interceptors;

    private Client(Address address, ClientOptions options) {
        calls = new Calls(new Connection(address, options, bootId::invalidate), options);
        codec = options.json == null ? Codec.standard() : new Codec(options.json);
        interceptors = new SubmitChain(options.interceptors);
    }

    /** Creates a client of the server at {@code JOBSTREAM_ADDRESS}, or else {@code http://127.0.0.1:7070}. */
    public static Client connect() {
        return connect(Address.standard());
    }

    /** Creates a client like {@link #connect()}, with options. */
    public static Client connect(Consumer<ClientOptions> options) {
        return connect(Address.standard(), options);
    }

    /**
     * Creates a client of the server at this address: {@code http://host:port}, {@code https://host:port} for TLS, or
     * {@code host:port}. {@code JOBSTREAM_TOKEN} and {@code JOBSTREAM_CA} are used if they are set.
     *
     * @throws IllegalArgumentException if the address is invalid, or a token would be sent over plain text
     */
    public static Client connect(String address) {
        return connect(address, options -> {});
    }

    /** Creates a client like {@link #connect(String)}, with options. */
    public static Client connect(String address, Consumer<ClientOptions> options) {
        ClientOptions chosen = new ClientOptions();
        options.accept(chosen);
        return new Client(Address.parse(address), chosen);
    }

    /** Submits a job whose result is decoded by its content type: JSON as Java's own types, text, or bytes. */
    public Job<Object> submit(String kind, Object input) {
        return submit(kind, input, Object.class);
    }

    /** Submits a job like {@link #submit(String, Object, Class, Consumer)}. */
    public <T> Job<T> submit(String kind, Object input, Class<T> resultType) {
        return submit(kind, input, resultType, options -> {});
    }

    /**
     * Submits a job. The job id is generated once, so a retry never creates a second job. The result can be read while
     * the server retains the job: use {@link #run(String, Object, Class, Consumer)} if the retention may be shorter
     * than the time until {@link Job#result()}.
     *
     * @param kind selects the handler: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}
     * @param input for the handler; at most 1 MiB by default
     * @param resultType type of the result
     * @throws InvalidRequestException if a field is invalid
     * @throws JobIdReusedException if the id belongs to a job with another spec
     * @throws ResourceExhaustedException if a limit of the server is reached; the server stored nothing
     */
    public <T> Job<T> submit(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options) {
        return submit(kind, input, codec.type(resultType), options);
    }

    /** Submits a job whose result is of a generic type, such as {@code new TypeReference<List<Thumb>>() {}}. */
    public <T> Job<T> submit(String kind, Object input, TypeReference<T> resultType, Consumer<SubmitOptions> options) {
        return submit(kind, input, codec.type(resultType.getType()), options);
    }

    /** Submits many jobs like {@link #submitAll(List, Class)}; results are decoded by their content type. */
    public List<SubmitResult<Object>> submitAll(List<JobRequest> jobs) {
        return submitAll(jobs, Object.class);
    }

    /**
     * Submits many jobs, up to 1,000 in one call. A rejected job does not affect the others. If a call fails, its jobs
     * and all later ones have its error. After any error, the same request can be submitted again.
     *
     * @return a result for each job, in order
     */
    public <T> List<SubmitResult<T>> submitAll(List<JobRequest> jobs, Class<T> resultType) {
        return submitAll(jobs, codec.type(resultType));
    }

    /** Submits many jobs like {@link #submitAll(List, Class)}, whose results are of a generic type. */
    public <T> List<SubmitResult<T>> submitAll(List<JobRequest> jobs, TypeReference<T> resultType) {
        return submitAll(jobs, codec.type(resultType.getType()));
    }

    /** Runs a job whose result is decoded by its content type, like {@link #run(String, Object, Class, Consumer)}. */
    public Object run(String kind, Object input) {
        return run(kind, input, Object.class);
    }

    /** Runs a job like {@link #run(String, Object, Class, Consumer)}. */
    public <T> T run(String kind, Object input, Class<T> resultType) {
        return run(kind, input, resultType, options -> {});
    }

    /**
     * Submits a job, waits until it ends and returns its result. Submit and wait are one call, so the result is
     * received even if the retention is 0. The job id is generated once, so a retry never creates a second job. If the
     * connection breaks, the call resumes as a watch. Interrupting the thread ends the wait and does not cancel the
     * job.
     *
     * <p>Throws the exceptions of {@link #submit(String, Object, Class, Consumer)} until the job is accepted, then
     * those of {@link Job#result()}. After an {@link UnavailableException} or {@link DeadlineExceededException} from
     * before that point the job may or may not be accepted: run it again with the same job id.
     */
    public <T> T run(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options) {
        return this.<T>running(kind, input, codec.type(resultType), options, null)
                .get();
    }

    /** Runs a job whose result is of a generic type, like {@link #run(String, Object, Class, Consumer)}. */
    public <T> T run(String kind, Object input, TypeReference<T> resultType, Consumer<SubmitOptions> options) {
        return this.<T>running(kind, input, codec.type(resultType.getType()), options, null)
                .get();
    }

    /**
     * Runs a job like {@link #run(String, Object, Class, Consumer)}, with a limit on the wait.
     *
     * @throws NotFinishedException if this time passed; the job continues
     */
    public <T> T run(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options, Duration wait) {
        Objects.requireNonNull(wait, "wait");
        return this.<T>running(kind, input, codec.type(resultType), options, wait)
                .get();
    }

    /**
     * A handle of the job with this id. Does not call the server.
     *
     * @throws InvalidRequestException if the id is not a UUID
     */
    public Job<Object> job(String jobId) {
        return job(jobId, Object.class);
    }

    /** A handle of the job with this id, whose result has this type. */
    public <T> Job<T> job(String jobId, Class<T> resultType) {
        return attached(jobId, resultType);
    }

    /** A handle of the job with this id, whose result has a generic type. */
    public <T> Job<T> job(String jobId, TypeReference<T> resultType) {
        return attached(jobId, resultType.getType());
    }

    /**
     * Reads the job with all its fields.
     *
     * @throws JobNotFoundException if there is no such job
     * @throws ResultExpiredException if it is no longer retained
     * @throws InvalidRequestException if the id is not a UUID
     */
    public JobView get(String jobId) {
        GetJobRequest request = GetJobRequest.newBuilder()
                .setJobId(JobIds.check("job_id", jobId))
                .build();
        return new JobView(Blocking.await(calls.call(JobServiceGrpc.getGetJobMethod(), request))
                .getJob());
    }

    /** Every job of the server, newest first, without payloads. Calls the server when the jobs are read. */
    public Jobs list() {
        return list(filter -> {});
    }

    /** The jobs that match a filter, like {@link #list()}. */
    public Jobs list(Consumer<JobFilter> filter) {
        JobFilter chosen = new JobFilter();
        filter.accept(chosen);
        return new Jobs(calls, chosen);
    }

    /** The state changes of all jobs, from now on. Calls the server when the changes are read. */
    public Feed watchJobs() {
        return watchJobs(filter -> {});
    }

    /** The state changes of all jobs that match a filter, like {@link #watchJobs()}. */
    public Feed watchJobs(Consumer<ChangeFilter> filter) {
        return watchJobs(filter, "");
    }

    /**
     * The state changes of all jobs that match a filter, after the {@link Feed#cursor} of an earlier feed; from now on if it
     * is empty.
     */
    public Feed watchJobs(Consumer<ChangeFilter> filter, String afterCursor) {
        ChangeFilter chosen = new ChangeFilter();
        filter.accept(chosen);
        return new Feed(calls, chosen, Objects.requireNonNull(afterCursor, "afterCursor"));
    }

    /**
     * Submits a finished job again, as a new job with another id. The finished job does not change. The new id is
     * generated once, so a retry of the call never creates a second job.
     *
     * @return the new job
     * @throws IllegalJobStateException if the job has not ended
     * @throws JobNotFoundException if there is no such job
     * @throws ResultExpiredException if it is no longer retained
     * @throws InvalidRequestException if the id is not a UUID
     */
    public Job<Object> retry(String jobId) {
        return retry(jobId, Object.class);
    }

    /** Submits a finished job again like {@link #retry(String)}; its result has this type. */
    public <T> Job<T> retry(String jobId, Class<T> resultType) {
        return retry(jobId, codec.type(resultType), new Metadata());
    }

    /** Submits a finished job again like {@link #retry(String)}; its result has a generic type. */
    public <T> Job<T> retry(String jobId, TypeReference<T> resultType) {
        return retry(jobId, codec.type(resultType.getType()), new Metadata());
    }

    /** Submits a finished job again like {@link #retry(String, Class)}, as a part of this trace. */
    public <T> Job<T> retry(String jobId, Class<T> resultType, TraceContext context) {
        return retry(jobId, codec.type(resultType), context.headers());
    }

    /**
     * Removes a finished job and its result.
     *
     * @throws IllegalJobStateException if the job has not ended
     * @throws JobNotFoundException if there is no such job
     * @throws ResultExpiredException if it is no longer retained
     * @throws InvalidRequestException if the id is not a UUID
     */
    public void delete(String jobId) {
        DeleteRequest request = DeleteRequest.newBuilder()
                .setJobId(JobIds.check("job_id", jobId))
                .build();
        Blocking.await(calls.call(
                JobServiceGrpc.getDeleteMethod(),
                request,
                error -> error.code() == Status.Code.NOT_FOUND ? DeleteResponse.getDefaultInstance() : null));
    }

    /** Every queue that has jobs or is paused, by name. */
    public List<QueueView> queues() {
        return new Queues(calls).list();
    }

    /** Starts no further attempts of the jobs of a queue. Running attempts continue, and jobs are still accepted. */
    public QueueView pauseQueue(String name) {
        return new Queues(calls).pause(name);
    }

    /**
     * Starts attempts of the jobs of a paused queue again.
     *
     * @throws JobstreamException with reason QUEUE_NOT_FOUND if there is no such queue
     */
    public QueueView resumeQueue(String name) {
        return new Queues(calls).resume(name);
    }

    /**
     * Cancels every waiting job of a queue. Running jobs continue. The call is not retried, because a retry would cancel
     * jobs that were submitted after a first call whose response was lost.
     *
     * @return the number of cancelled jobs
     * @throws JobstreamException with reason QUEUE_NOT_FOUND if there is no such queue
     */
    public int purgeQueue(String name) {
        return new Queues(calls).purge(name);
    }

    /**
     * The channel of this client for the generated stubs: {@code JobServiceGrpc.newBlockingStub(client.channel())}.
     * Their calls have no default deadline and are not retried.
     */
    public Channel channel() {
        return calls.connection().forShortCalls().channelForCall();
    }

    @Override
    public void close() {
        calls.close();
    }

    Calls calls() {
        return calls;
    }

    Codec codec() {
        return codec;
    }

    private <T> Job<T> attached(String jobId, Type type) {
        return new Job<>(this, JobIds.check("job_id", jobId), codec.type(type));
    }

    private <T> Job<T> submit(String kind, Object input, JavaType type, Consumer<SubmitOptions> options) {
        JobSpec spec = JobRequest.of(kind, input, options).spec(codec);
        CompletableFuture<String> acceptedBy = bootId.lookUp(calls);
        Submitted submitted = interceptors.submit(spec, changed -> {
            SubmitRequest request = SubmitRequest.newBuilder().setJob(changed).build();
            var response = Blocking.await(calls.call(JobServiceGrpc.getSubmitMethod(), request));
            return new Submitted(response.getJobId(), Wire.waitReason(response.getWaitReason()));
        });
        return new Job<>(this, submitted.jobId(), type, acceptedBy, submitted.waitReason());
    }

    private <T> List<SubmitResult<T>> submitAll(List<JobRequest> jobs, JavaType type) {
        CompletableFuture<String> acceptedBy = bootId.lookUp(calls);
        return new Batch<T>(
                        calls,
                        codec,
                        interceptors,
                        submitted -> new Job<>(
                                this,
                                submitted.getJobId(),
                                type,
                                acceptedBy,
                                Wire.waitReason(submitted.getWaitReason())))
                .submit(jobs);
    }

    private <T> Job<T> retry(String jobId, JavaType type, Metadata headers) {
        RetryRequest request = RetryRequest.newBuilder()
                .setJobId(JobIds.check("job_id", jobId))
                .setNewJobId(JobIds.generate())
                .build();
        CompletableFuture<String> acceptedBy = bootId.lookUp(calls);
        var retried = Blocking.await(calls.call(JobServiceGrpc.getRetryMethod(), request, headers));
        return new Job<>(this, retried.getJobId(), type, acceptedBy, Wire.waitReason(retried.getWaitReason()));
    }

    /** A run that starts when its result is requested. */
    private <T> Supplier<T> running(
            String kind, Object input, JavaType type, Consumer<SubmitOptions> options, Duration wait) {
        JobSpec spec = JobRequest.of(kind, input, options).spec(codec);
        return () -> {
            try (Run run = new Run(calls, () -> bootId.lookUp(calls), wait)) {
                Submitted submitted = interceptors.submit(spec, run::submit);
                Job<T> job = new Job<>(this, submitted.jobId(), type);
                if (run.isSubmitted()) {
                    return job.resultOf(run.outcome());
                }
                // An interceptor that did not call `next` has returned the id of another job.
                return wait == null ? job.result() : job.result(wait);
            }
        };
    }
}
