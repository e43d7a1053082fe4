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
    private final Supplier<Pem> source;
    /** The current identity, and before it the former one, whose handshake may not have ended. Guarded by this object. */
    private List<Identity> newest;

    /** The content of the files. */
    private static final class Pem {
        private final byte[] certificate;
        private final byte[] key;

        private Pem(byte[] certificate, byte[] key) {
            this.certificate = certificate;
            this.key = key;
        }

        boolean hasContentOf(Pem other) {
            return Arrays.equals(certificate, other.certificate) && Arrays.equals(key, other.key);
        }
    }

    /** What one read returned. Its number makes the alias unique, so that a handshake never mixes a certificate and another key. */
    private record Identity(long number, Pem pem, Tls.Identity parsed) {
        String alias() {
            return "client-" + number;
        }
    }

    private ClientCertificate(Supplier<Pem> source) {
        this.source = source;
        newest = List.of(parse(1, source.get()));
    }

    /**
     * A certificate in files.
     *
     * @throws IllegalArgumentException if they are unusable
     */
    static ClientCertificate of(Path certificate, Path key) {
        return new ClientCertificate(() -> new Pem(
                Tls.read("clientCertificate", certificate.toString()), Tls.read("clientCertificate", key.toString())));
    }

    /**
     * A certificate that never changes.
     *
     * @throws IllegalArgumentException if it is unusable
     */
    static ClientCertificate of(byte[] certificate, byte[] key) {
        Pem pem = new Pem(certificate.clone(), key.clone());
        return new ClientCertificate(() -> pem);
    }

    private static Identity parse(long number, Pem pem) {
        return new Identity(number, pem, Tls.identity(pem.certificate, pem.key));
    }

    /** Reads the certificate again. Returns its alias. */
    private synchronized String refresh() {
        Identity current = newest.get(newest.size() - 1);
        try {
            Pem pem = source.get();
            if (pem.hasContentOf(current.pem)) {
                return current.alias();
            }
            Identity next = parse(current.number + 1, pem);
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
