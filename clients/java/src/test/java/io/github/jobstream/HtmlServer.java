package io.github.jobstream;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Semaphore;

/** An HTTP/2 server that answers every request with an HTML page and the same status, as a proxy does. */
final class HtmlServer implements AutoCloseable {
    private static final String PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    private static final byte[] PAGE = "<html><h1>proxy</h1></html>".getBytes(StandardCharsets.UTF_8);

    private static final int DATA = 0;
    private static final int HEADERS = 1;
    private static final int SETTINGS = 4;
    private static final int PING = 6;
    private static final int ACK = 1;
    private static final int END_STREAM = 1;
    private static final int END_HEADERS = 4;

    private final ServerSocket listener;
    private final byte[] headers;
    private final Semaphore requests = new Semaphore(0);

    HtmlServer(int status) throws IOException {
        headers = headers(status);
        listener = new ServerSocket(0, 0, InetAddress.getLoopbackAddress());
        daemon(this::accept);
    }

    String address() {
        return "http://127.0.0.1:" + listener.getLocalPort();
    }

    /** Number of requests so far. */
    int requests() {
        return requests.availablePermits();
    }

    /** Waits until there were this many requests. */
    void awaitRequests(int count) throws InterruptedException {
        requests.acquire(count);
    }

    @Override
    public void close() throws IOException {
        listener.close();
    }

    private void accept() {
        try {
            while (true) {
                Socket socket = listener.accept();
                daemon(() -> serve(socket));
            }
        } catch (IOException closed) {
            // The test has ended.
        }
    }

    private void serve(Socket socket) {
        try (socket) {
            DataInputStream in = new DataInputStream(socket.getInputStream());
            OutputStream out = socket.getOutputStream();
            in.skipNBytes(PREFACE.length());
            out.write(frame(SETTINGS, 0, 0, new byte[0]));
            while (true) {
                int lengthAndType = in.readInt();
                int flags = in.readUnsignedByte();
                int stream = in.readInt();
                byte[] payload = in.readNBytes(lengthAndType >>> 8);
                out.write(answer(lengthAndType & 0xFF, flags, stream, payload));
            }
        } catch (IOException closed) {
            // The client has closed the connection.
        }
    }

    private byte[] answer(int type, int flags, int stream, byte[] payload) throws IOException {
        ByteArrayOutputStream answer = new ByteArrayOutputStream();
        if (type == HEADERS) {
            requests.release();
            answer.write(frame(HEADERS, END_HEADERS, stream, headers));
            answer.write(frame(DATA, END_STREAM, stream, PAGE));
        } else if (type == PING && flags != ACK) {
            answer.write(frame(PING, ACK, 0, payload));
        } else if (type == SETTINGS && flags != ACK) {
            answer.write(frame(SETTINGS, ACK, 0, new byte[0]));
        }
        return answer.toByteArray();
    }

    private static byte[] frame(int type, int flags, int stream, byte[] payload) {
        return ByteBuffer.allocate(9 + payload.length)
                .putInt(payload.length << 8 | type)
                .put((byte) flags)
                .putInt(stream)
                .put(payload)
                .array();
    }

    /** HPACK: literals with the names 8, :status, and 31, content-type, of the static table. */
    private static byte[] headers(int status) {
        String contentType = "text/html";
        return ByteBuffer.allocate(5 + 3 + contentType.length())
                .put(new byte[] {8, 3})
                .put(Integer.toString(status).getBytes(StandardCharsets.US_ASCII))
                .put(new byte[] {15, 16, (byte) contentType.length()})
                .put(contentType.getBytes(StandardCharsets.US_ASCII))
                .array();
    }

    private static void daemon(Runnable task) {
        Thread thread = new Thread(task, "html-server");
        thread.setDaemon(true);
        thread.start();
    }
}
