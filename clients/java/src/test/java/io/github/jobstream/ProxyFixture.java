package io.github.jobstream;

import io.github.jobstream.testing.TestServer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;

/** A server, and a proxy that cuts the connections of one of its two clients. */
@Timeout(60)
abstract class ProxyFixture {
    TestServer server;
    CutProxy proxy;
    /** A client that is connected without the proxy. */
    Client direct;
    /** A client whose connections the proxy cuts. */
    Client cut;

    @BeforeEach
    void start() throws Exception {
        server = TestServer.start();
        proxy = new CutProxy(server.address());
        direct = server.connect();
        cut = Client.connect(proxy.address());
    }

    @AfterEach
    void stop() throws Exception {
        cut.close();
        direct.close();
        proxy.close();
        server.close();
    }

    /** Starts another server, without the jobs of this one, at the same address. */
    void restartServer() {
        String listen = server.address().substring("http://".length());
        server.close();
        server = TestServer.startAt(listen);
    }
}
