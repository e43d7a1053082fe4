package io.github.jobstream;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JavaType;
import io.github.jobstream.v1.GetJobRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.SubmitRequest;
import io.grpc.Channel;
import java.lang.reflect.Type;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

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
     * Submits a job. Its id is minted before the first try, so that a try that is repeated never is a second job.
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
}
