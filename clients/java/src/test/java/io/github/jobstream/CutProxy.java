package io.github.jobstream;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;

/** A proxy that cuts its connections on demand. */
final class CutProxy implements AutoCloseable {
    private final URI target;
    private final ServerSocket listener;
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private final Semaphore accepted = new Semaphore(0);

    CutProxy(String target) throws IOException {
        this.target = URI.create(target);
        listener = new ServerSocket(0, 0, InetAddress.getLoopbackAddress());
        daemon(this::serve);
    }

    String address() {
        return "http://127.0.0.1:" + listener.getLocalPort();
    }

    /** Resets every open connection; new ones are accepted. */
    void cut() {
        open.forEach(CutProxy::reset);
    }

    /** Blocking until another connection was made. */
    void awaitConnection() throws InterruptedException {
        accepted.acquire();
    }

    @Override
    public void close() throws IOException {
        listener.close();
        cut();
    }

    private void serve() {
        try {
            while (true) {
                Socket client = listener.accept();
                Socket server = new Socket(target.getHost(), target.getPort());
                open.add(client);
                open.add(server);
                daemon(() -> forward(client, server));
                daemon(() -> forward(server, client));
                accepted.release();
            }
        } catch (IOException closed) {
            // The test has ended.
        }
    }

    private void forward(Socket from, Socket to) {
        try (InputStream in = from.getInputStream()) {
            in.transferTo(to.getOutputStream());
        } catch (IOException cut) {
            // Expected after a cut.
        }
        reset(from);
        reset(to);
        open.remove(from);
        open.remove(to);
    }

    private static void reset(Socket socket) {
        try {
            socket.setSoLinger(true, 0);
            socket.close();
        } catch (IOException closed) {
            // The other end closed it first.
        }
    }

    private static void daemon(Runnable task) {
        Thread thread = new Thread(task, "cut-proxy");
        thread.setDaemon(true);
        thread.start();
    }
}
