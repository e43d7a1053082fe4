package io.github.jobstream;

import java.net.URI;
import java.net.URISyntaxException;

/** Where a server is. */
record Address(String text, String host, int port, boolean isTls) {
    private static final String DEFAULT = "http://127.0.0.1:7070";
    private static final String VARIABLE = "JOBSTREAM_ADDRESS";

    /** {@code JOBSTREAM_ADDRESS}, or the address at which a server listens by default. */
    static String standard() {
        String configured = System.getenv(VARIABLE);
        return configured == null || configured.isBlank() ? DEFAULT : configured;
    }

    /**
     * Reads {@code host:port}, {@code http://host:port} or {@code https://host:port}.
     *
     * @throws IllegalArgumentException if it is none of these
     */
    static Address parse(String written) {
        String text = written.contains("://") ? written : "http://" + written;
        URI uri;
        try {
            uri = new URI(text).parseServerAuthority();
        } catch (URISyntaxException error) {
            throw bad(written, error.getReason());
        }
        boolean isTls = "https".equals(uri.getScheme());
        if (!isTls && !"http".equals(uri.getScheme())) {
            throw bad(written, "the scheme is " + uri.getScheme());
        }
        if (uri.getHost() == null) {
            throw bad(written, "it names no host");
        }
        boolean hasMore = !uri.getRawPath().isEmpty() && !uri.getRawPath().equals("/");
        if (hasMore || uri.getRawQuery() != null || uri.getRawFragment() != null || uri.getRawUserInfo() != null) {
            throw bad(written, "it has more than host and port");
        }
        int port = uri.getPort() >= 0 ? uri.getPort() : isTls ? 443 : 80;
        return new Address(text, uri.getHost(), port, isTls);
    }

    private static IllegalArgumentException bad(String written, String why) {
        return new IllegalArgumentException("\"" + written + "\" is no address of a server: " + why
                + ": write http://host:port, or https://host:port for TLS");
    }
}
