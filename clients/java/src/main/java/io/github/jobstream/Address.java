package io.github.jobstream;

import java.net.URI;
import java.net.URISyntaxException;

/** The address of a server. */
record Address(String text, String host, int port, boolean isTls) {
    private static final String DEFAULT = "http://127.0.0.1:7070";
    private static final String VARIABLE = "JOBSTREAM_ADDRESS";
    private static final int PORT_MAX = 65_535;

    /** {@code JOBSTREAM_ADDRESS}, or the default address. */
    static String standard() {
        String configured = System.getenv(VARIABLE);
        return configured == null || configured.isBlank() ? DEFAULT : configured;
    }

    /**
     * Parses {@code host:port}, {@code http://host:port} or {@code https://host:port}.
     *
     * @throws IllegalArgumentException if the address is invalid
     */
    static Address parse(String given) {
        String text = given.contains("://") ? given : "http://" + given;
        URI uri;
        try {
            uri = new URI(text).parseServerAuthority();
        } catch (URISyntaxException error) {
            throw bad(given, error.getReason());
        }
        boolean isTls = "https".equals(uri.getScheme());
        if (!isTls && !"http".equals(uri.getScheme())) {
            throw bad(given, "the scheme is " + uri.getScheme());
        }
        if (uri.getHost() == null) {
            throw bad(given, "it has no host");
        }
        boolean hasMore = !uri.getRawPath().isEmpty() && !uri.getRawPath().equals("/");
        if (hasMore || uri.getRawQuery() != null || uri.getRawFragment() != null || uri.getRawUserInfo() != null) {
            throw bad(given, "it has a path, a query or a user");
        }
        if (uri.getPort() == 0 || uri.getPort() > PORT_MAX) {
            throw bad(given, "the port " + uri.getPort() + " is not a number from 1 to " + PORT_MAX);
        }
        int port = uri.getPort() >= 0 ? uri.getPort() : isTls ? 443 : 80;
        return new Address(text, uri.getHost(), port, isTls);
    }

    private static IllegalArgumentException bad(String given, String why) {
        return new IllegalArgumentException(
                "invalid address \"" + given + "\", " + why + ": use http://host:port, or https://host:port for TLS");
    }
}
