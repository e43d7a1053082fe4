package io.github.jobstream;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JavaType;
import io.github.jobstream.v1.GetJobRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.SubmitRequest;
import io.grpc.Channel;
import java.lang.reflect.Type;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A client of one server: submits jobs and hands out {@link Job}s. Lazy: the first call connects. Safe for use by
 * several threads; one for a whole program is right. Closing it ends every wait and watch, and never touches jobs.
 *
 * <pre>{@code
 * try (Client client = Client.connect("http://127.0.0.1:7070")) {
 *     Job<Thumb> job = client.submit("resize", new Resize(64), Thumb.class, options -> options.queue("media"));
 *     Thumb thumb = job.result(Duration.ofSeconds(30));
 * }
 * }</pre>
 *
 * <p>Inputs are sent as JSON, but for {@code byte[]}, which is sent as bytes, and a {@link Payload}, which is sent as it
 * is. Every call may throw {@link UnavailableException} or {@link DeadlineExceededException}: whatever it was,
 * submitting again with the same job id gives one job.
 */
public final class Client implements AutoCloseable {
    private final BootId bootId = new BootId();
    private final Calls calls;
    private final Codec codec;

    private Client(Address address, ClientOptions options) {
        calls = new Calls(new Connection(address, options, bootId::forget), options);
        codec = options.json == null ? Codec.standard() : new Codec(options.json);
    }

    /** A client of the server at {@code JOBSTREAM_ADDRESS}, or else {@code http://127.0.0.1:7070}. */
    public static Client connect() {
        return connect(Address.standard());
    }

    /**
     * A client of the server at this address: {@code http://host:port}, {@code https://host:port} for TLS, or {@code
     * host:port}.
     *
     * @throws IllegalArgumentException if the address is none of these
     */
    public static Client connect(String address) {
        return connect(address, options -> {});
    }

    /** A client as {@link #connect(String)}, with options of its own. */
    public static Client connect(String address, Consumer<ClientOptions> options) {
        ClientOptions chosen = new ClientOptions();
        options.accept(chosen);
        return new Client(Address.parse(address), chosen);
    }

    /** Submits a job whose result is read as its content type says: JSON as Java's own types, text, or bytes. */
    public Job<Object> submit(String kind, Object input) {
        return submit(kind, input, Object.class);
    }

    /** Submits a job, as {@link #submit(String, Object, Class, Consumer)}. */
    public <T> Job<T> submit(String kind, Object input, Class<T> resultType) {
        return submit(kind, input, resultType, options -> {});
    }

    /**
     * Submits a job. Its id is minted before the first try, so that a try that is repeated never is a second job. Its
     * result can be had while it is retained: use {@link #run(String, Object, Class, Consumer)} where that may be shorter
     * than the way to {@link Job#result()}.
     *
     * @param kind which handler runs it: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}
     * @param input for the handler; at most 1 MiB by default
     * @param resultType what the result is read as
     * @throws InvalidRequestException if a field breaks a rule
     * @throws JobIdReusedException if the id belongs to a job with another spec
     * @throws ResourceExhaustedException if the server is full; nothing was kept
     */
    public <T> Job<T> submit(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options) {
        return submit(kind, input, codec.type(resultType), options);
    }

    /** Submits a job whose result is of a generic type, such as {@code new TypeReference<List<Thumb>>() {}}. */
    public <T> Job<T> submit(String kind, Object input, TypeReference<T> resultType, Consumer<SubmitOptions> options) {
        return submit(kind, input, codec.type(resultType.getType()), options);
    }

    /** Runs a job whose result is read as its content type says, as {@link #run(String, Object, Class, Consumer)}. */
    public Object run(String kind, Object input) {
        return run(kind, input, Object.class);
    }

    /** Runs a job, as {@link #run(String, Object, Class, Consumer)}. */
    public <T> T run(String kind, Object input, Class<T> resultType) {
        return run(kind, input, resultType, options -> {});
    }

    /**
     * Submits a job, waits for its end and answers its result: in one call, so that no retention is too short for the end
     * to be seen. Its id is minted before the first try, so that a try that is repeated never is a second job. When its
     * connection breaks, it goes on with a watch. Interrupting the thread ends the wait and never the job.
     *
     * <p>Until the job was accepted it throws as {@link #submit(String, Object, Class, Consumer)}, then as {@link
     * Job#result()}. An {@link UnavailableException} or {@link DeadlineExceededException} of before that tells nothing of
     * whether it was accepted: run it again with the same job id.
     */
    public <T> T run(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options) {
        return this.<T>running(kind, input, codec.type(resultType), options, null)
                .get();
    }

    /** Runs a job whose result is of a generic type, as {@link #run(String, Object, Class, Consumer)}. */
    public <T> T run(String kind, Object input, TypeReference<T> resultType, Consumer<SubmitOptions> options) {
        return this.<T>running(kind, input, codec.type(resultType.getType()), options, null)
                .get();
    }

    /**
     * Runs a job, as {@link #run(String, Object, Class, Consumer)}, waiting for at most this long.
     *
     * @throws NotFinishedException if this time passed; the job goes on
     */
    public <T> T run(String kind, Object input, Class<T> resultType, Consumer<SubmitOptions> options, Duration wait) {
        Objects.requireNonNull(wait, "wait");
        return this.<T>running(kind, input, codec.type(resultType), options, wait)
                .get();
    }

    /** The handle of a job known by its id. Asks nobody: the first use tells whether it is there. */
    public Job<Object> job(String jobId) {
        return job(jobId, Object.class);
    }

    /** The handle of a job known by its id, whose result is read as this type. */
    public <T> Job<T> job(String jobId, Class<T> resultType) {
        return attached(jobId, resultType);
    }

    /** The handle of a job known by its id, whose result is of a generic type. */
    public <T> Job<T> job(String jobId, TypeReference<T> resultType) {
        return attached(jobId, resultType.getType());
    }

    /**
     * The whole job, as a message of the raw stubs: spec, state, attempts, times, outcome.
     *
     * @throws JobNotFoundException if there is no such job
     * @throws ResultExpiredException if it is past its retention
     */
    public io.github.jobstream.v1.Job get(String jobId) {
        GetJobRequest request = GetJobRequest.newBuilder().setJobId(jobId).build();
        return Waits.on(calls.call(JobServiceGrpc.getGetJobMethod(), request)).getJob();
    }

    /**
     * The channel of this client, for the raw stubs: {@code JobServiceGrpc.newBlockingStub(client.channel())}. Their
     * calls have no deadline and are not tried again unless you see to it.
     */
    public Channel channel() {
        return calls.connection().forShortCalls().fresh();
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
        return new Job<>(this, Objects.requireNonNull(jobId, "jobId"), codec.type(type), BootId.UNKNOWN);
    }

    private <T> Job<T> submit(String kind, Object input, JavaType type, Consumer<SubmitOptions> options) {
        SubmitOptions chosen = new SubmitOptions();
        options.accept(chosen);
        JobSpec spec = chosen.spec(Objects.requireNonNull(kind, "kind"), codec.encode("job.payload", input));
        CompletableFuture<String> taker = bootId.ask(calls);
        SubmitRequest request = SubmitRequest.newBuilder().setJob(spec).build();
        String jobId =
                Waits.on(calls.call(JobServiceGrpc.getSubmitMethod(), request)).getJobId();
        return new Job<>(this, jobId, type, taker);
    }

    /** A run that begins when its result is asked for. */
    private <T> Supplier<T> running(
            String kind, Object input, JavaType type, Consumer<SubmitOptions> options, Duration wait) {
        SubmitOptions chosen = new SubmitOptions();
        options.accept(chosen);
        JobSpec spec = chosen.spec(Objects.requireNonNull(kind, "kind"), codec.encode("job.payload", input));
        Job<T> job = new Job<>(this, spec.getJobId(), type, BootId.UNKNOWN);
        return () -> job.ended(new Run(calls, spec, () -> bootId.ask(calls), wait).outcome());
    }
}
