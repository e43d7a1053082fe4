package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.net.Socket;
import java.nio.file.Path;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;

/**
 * The certificate of a client and its private key, which each handshake uses. That of files is read again for each new
 * connection. If the files are unusable then, for example because only one of them is replaced yet, the former certificate is
 * used.
 */
final class ClientCertificate extends X509ExtendedKeyManager {
    private static final String CERTIFICATE = "clientCertificate";
    private static final String KEY = "the key of clientCertificate";

    private final Supplier<Pair> source;
    /** The current identity, and before it the former one, whose handshake may not have ended. Guarded by this object. */
    private List<Identity> newest;

    /** The content of the files. */
    private record Pair(Tls.Pem certificate, Tls.Pem key) {
        boolean hasContentOf(Pair other) {
            return Arrays.equals(certificate.content, other.certificate.content)
                    && Arrays.equals(key.content, other.key.content);
        }
    }

    /** What one read returned. Its number makes the alias unique, so that a handshake never mixes a certificate and another key. */
    private record Identity(long number, Pair pair, Tls.Identity parsed) {
        String alias() {
            return "client-" + number;
        }
    }

    private ClientCertificate(Supplier<Pair> source) {
        this.source = source;
        newest = List.of(parse(1, source.get()));
    }

    /**
     * A certificate in files.
     *
     * @throws IllegalArgumentException if they are unusable
     */
    static ClientCertificate of(Path certificate, Path key) {
        return new ClientCertificate(
                () -> new Pair(Tls.Pem.read(CERTIFICATE, certificate.toString()), Tls.Pem.read(KEY, key.toString())));
    }

    /**
     * A certificate that never changes.
     *
     * @throws IllegalArgumentException if it is unusable
     */
    static ClientCertificate of(byte[] certificate, byte[] key) {
        Pair pair = new Pair(Tls.Pem.of(CERTIFICATE, certificate), Tls.Pem.of(KEY, key));
        return new ClientCertificate(() -> pair);
    }

    private static Identity parse(long number, Pair pair) {
        return new Identity(number, pair, Tls.identity(pair.certificate, pair.key));
    }

    /** Reads the certificate again. Returns its alias. */
    private synchronized String refresh() {
        Identity current = newest.get(newest.size() - 1);
        try {
            Pair pair = source.get();
            if (pair.hasContentOf(current.pair)) {
                return current.alias();
            }
            Identity next = parse(current.number + 1, pair);
            newest = List.of(current, next);
            Worker.log(Level.INFO, () -> "the client certificate has changed: new connections use it", null);
            return next.alias();
        } catch (RuntimeException unusable) {
            Worker.log(Level.WARNING, () -> unusable.getMessage() + "; the former client certificate is used", null);
            return current.alias();
        }
    }

    private synchronized Optional<Tls.Identity> find(String alias) {
        return newest.stream()
                .filter(identity -> identity.alias().equals(alias))
                .map(Identity::parsed)
                .findFirst();
    }

    @Override
    public String chooseEngineClientAlias(String[] keyTypes, Principal[] issuers, SSLEngine engine) {
        return refresh();
    }

    @Override
    public String chooseClientAlias(String[] keyTypes, Principal[] issuers, Socket socket) {
        return refresh();
    }

    @Override
    public String[] getClientAliases(String keyType, Principal[] issuers) {
        return new String[] {refresh()};
    }

    @Override
    public X509Certificate[] getCertificateChain(String alias) {
        return find(alias)
                .map(found -> found.chain().toArray(X509Certificate[]::new))
                .orElse(null);
    }

    @Override
    public PrivateKey getPrivateKey(String alias) {
        return find(alias).map(Tls.Identity::key).orElse(null);
    }

    @Override
    public String[] getServerAliases(String keyType, Principal[] issuers) {
        return null;
    }

    @Override
    public String chooseServerAlias(String keyType, Principal[] issuers, Socket socket) {
        return null;
    }
}
