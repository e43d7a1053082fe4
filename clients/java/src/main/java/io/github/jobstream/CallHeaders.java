package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.Locale;
import java.util.regex.Pattern;

/** The headers of every call of a client: its token and its metadata. */
final class CallHeaders implements ClientInterceptor {
    private static final String VARIABLE = "JOBSTREAM_TOKEN";
    private static final Pattern LOOPBACK = Pattern.compile("localhost|.*\\.localhost|127(\\.\\d+){3}|\\[::1]");
    private static final Pattern NAME = Pattern.compile("[a-z0-9_.-]+");
    private static final Pattern VALUE = Pattern.compile("[\\x20-\\x7e]*");
    /** Headers of gRPC and HTTP, and binary ones, which need another encoding. */
    private static final Pattern RESERVED =
            Pattern.compile("grpc-.*|.*-bin|connection|content-type|host|te|transfer-encoding|user-agent");

    /** Headers of one call. */
    static final CallOptions.Key<Metadata> OF_CALL = CallOptions.Key.createWithDefault("headers", new Metadata());

    /** The token; null for none. */
    private final BearerToken token;

    private final Metadata metadata;

    /**
     * Takes the token of {@code JOBSTREAM_TOKEN} if the options have none.
     *
     * @throws IllegalArgumentException if the token would be sent over plain text to a host other than loopback
     */
    CallHeaders(Address address, ClientOptions options) {
        String variable = System.getenv().getOrDefault(VARIABLE, "");
        boolean isGiven = options.hasToken;
        token = isGiven || variable.isBlank() ? options.token : BearerToken.of(variable, VARIABLE);
        metadata = options.metadata;
        boolean isSecure = address.isTls()
                || LOOPBACK.matcher(address.host().toLowerCase(Locale.ROOT)).matches();
        if (token != null && !isSecure && !options.allowInsecureToken) {
            throw new IllegalArgumentException((isGiven ? "token" : VARIABLE) + " would be sent over plain text to "
                    + address.host() + ": use an address with https://, or allowInsecureToken");
        }
    }

    /**
     * The key of a header of the metadata.
     *
     * @throws IllegalArgumentException if the name or the value is not allowed
     */
    static Metadata.Key<String> key(String name, String value) {
        String lower = name.toLowerCase(Locale.ROOT);
        if (lower.equals("authorization")) {
            throw new IllegalArgumentException("metadata has the name authorization: use the option token");
        }
        if (!NAME.matcher(lower).matches() || RESERVED.matcher(lower).matches()) {
            throw new IllegalArgumentException(
                    "metadata has the name \"" + name + "\": use a header name of [a-z0-9_.-]");
        }
        if (!VALUE.matcher(value).matches()) {
            throw new IllegalArgumentException("metadata " + lower + " is not a text of visible ASCII characters");
        }
        return Metadata.Key.of(lower, Metadata.ASCII_STRING_MARSHALLER);
    }

    /** Whether a call that is refused for its token may succeed with the next one. */
    boolean renewsToken() {
        return token != null && token.isRenewed();
    }

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
        CallOptions withToken =
                token == null || options.getCredentials() != null ? options : options.withCallCredentials(token);
        return new SimpleForwardingClientCall<>(next.newCall(method, withToken)) {
            @Override
            public void start(Listener<A> listener, Metadata headers) {
                headers.merge(metadata);
                headers.merge(options.getOption(OF_CALL));
                super.start(listener, headers);
            }
        };
    }
}
