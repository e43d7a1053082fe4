package io.github.jobstream;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** TLS of a client: the authorities that it trusts, and its own certificate. */
final class Tls {
    private static final String VARIABLE = "JOBSTREAM_CA";
    private static final Pattern KEY =
            Pattern.compile("-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END PRIVATE KEY-----");

    /** The certificate of a client, followed by intermediate ones, and its private key. */
    record Identity(List<X509Certificate> chain, PrivateKey key) {}

    /** Content in PEM format, and where it is from. */
    static final class Pem {
        /** The beginning of a message about it: {@code ca}, or {@code ca is "ca.crt", which}. */
        final String subject;
        /** The file, or {@code the certificate}. */
        final String source;

        final byte[] content;

        private Pem(String subject, String source, byte[] content) {
            this.subject = subject;
            this.source = source;
            this.content = content;
        }

        /** The content of an option. */
        static Pem of(String name, byte[] content) {
            return new Pem(name, "the certificate", content.clone());
        }

        /** The content of the file of an option. */
        static Pem read(String name, String file) {
            String subject = name + " is \"" + file + "\", which";
            try {
                return new Pem(subject, "\"" + file + "\"", Files.readAllBytes(Path.of(file)));
            } catch (IOException | InvalidPathException error) {
                throw new IllegalArgumentException(subject + " cannot be read: " + error, error);
            }
        }
    }

    private Tls() {}

    /**
     * The credentials of connections to this address. The authorities are those of the options, else of {@code
     * JOBSTREAM_CA}, else of the Java installation.
     *
     * @throws IllegalArgumentException if a certificate or a key is unusable
     */
    static ChannelCredentials credentials(Address address, ClientOptions options) {
        if (!address.isTls()) {
            checkUnused("ca", options.ca, address);
            checkUnused("clientCertificate", options.identity, address);
            return InsecureChannelCredentials.create();
        }
        byte[] ca = options.ca;
        String variable = System.getenv().getOrDefault(VARIABLE, "");
        if (ca == null && !variable.isBlank()) {
            Pem file = Pem.read(VARIABLE, variable);
            checkCertificates(file);
            ca = file.content;
        }
        TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
        try {
            if (ca != null) {
                builder.trustManager(new ByteArrayInputStream(ca));
            }
            if (options.identity != null) {
                builder.keyManager(options.identity);
            }
        } catch (IOException impossible) {
            throw new IllegalStateException("bytes in memory cannot be read", impossible);
        }
        return builder.build();
    }

    /** Returns the certificates, which are in PEM format. */
    static Collection<X509Certificate> checkCertificates(Pem pem) {
        try {
            @SuppressWarnings("unchecked") // An X.509 factory makes X.509 certificates.
            var certificates = (Collection<X509Certificate>)
                    CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(pem.content));
            if (!certificates.isEmpty()) {
                return certificates;
            }
        } catch (CertificateException error) {
            throw new IllegalArgumentException(noCertificate(pem) + ": " + error.getMessage(), error);
        }
        throw new IllegalArgumentException(noCertificate(pem));
    }

    /** The certificate of a client with its key. */
    static Identity identity(Pem certificate, Pem key) {
        List<X509Certificate> chain = List.copyOf(checkCertificates(certificate));
        X509Certificate own = chain.get(0);
        Matcher pem = KEY.matcher(new String(key.content, StandardCharsets.ISO_8859_1));
        if (!pem.find()) {
            throw new IllegalArgumentException(
                    key.subject + " has no -----BEGIN PRIVATE KEY-----: convert it with openssl pkcs8 -topk8 -nodes");
        }
        try {
            byte[] encoded = Base64.getMimeDecoder().decode(pem.group(1));
            String algorithm = own.getPublicKey().getAlgorithm();
            PrivateKey secret = KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(encoded));
            if (matches(own.getPublicKey(), secret)) {
                return new Identity(chain, secret);
            }
        } catch (GeneralSecurityException | IllegalArgumentException error) {
            throw new IllegalArgumentException(
                    key.subject + " is not that of " + certificate.source + ", or unusable: " + error, error);
        }
        throw new IllegalArgumentException(key.subject + " is not that of " + certificate.source);
    }

    private static boolean matches(PublicKey key, PrivateKey secret) throws GeneralSecurityException {
        Signature signature = Signature.getInstance(
                switch (key.getAlgorithm()) {
                    case "RSA" -> "SHA256withRSA";
                    case "EC" -> "SHA256withECDSA";
                    default -> key.getAlgorithm();
                });
        byte[] probe = {1};
        signature.initSign(secret);
        signature.update(probe);
        byte[] signed = signature.sign();
        signature.initVerify(key);
        signature.update(probe);
        return signature.verify(signed);
    }

    private static void checkUnused(String name, Object option, Address address) {
        if (option != null) {
            throw new IllegalArgumentException(
                    name + " needs TLS, and the address is " + address.text() + ": use https://host:port");
        }
    }

    private static String noCertificate(Pem pem) {
        return pem.subject + " has no certificate in PEM format: use a file with -----BEGIN CERTIFICATE-----";
    }
}
