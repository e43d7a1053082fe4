package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * SIGTERM and SIGINT, told to whoever listens instead of ending the process. The first runs one task, the second
 * another; a third does what it did before.
 *
 * <p>Only {@code sun.misc.Signal} of the module {@code jdk.unsupported} can do that, which javac warns of and which may
 * be missing: it is looked up by its name.
 */
final class Signals implements AutoCloseable {
    private static final List<String> NAMES = List.of("TERM", "INT");

    private final Class<?> signalType;
    private final Class<?> handlerType;
    private final Method handle;
    /** By signal, who had it before. */
    private final Map<Object, Object> earlier = new LinkedHashMap<>();

    private Signals() throws ReflectiveOperationException {
        signalType = Class.forName("sun.misc.Signal");
        handlerType = Class.forName("sun.misc.SignalHandler");
        handle = signalType.getMethod("handle", signalType, handlerType);
    }

    /** Listens until it is closed; null if this process cannot, as under {@code java -Xrs}. */
    static Signals listen(Runnable onFirst, Runnable onSecond) {
        Signals signals = null;
        try {
            signals = new Signals();
            signals.take(onFirst, onSecond);
            return signals;
        } catch (ReflectiveOperationException unavailable) {
            Worker.tell(Level.DEBUG, () -> "no signals are to be had", unavailable);
            if (signals != null) {
                signals.close();
            }
            return null;
        }
    }

    private synchronized void take(Runnable onFirst, Runnable onSecond) throws ReflectiveOperationException {
        AtomicInteger count = new AtomicInteger();
        Object handler = Proxy.newProxyInstance(
                Signals.class.getClassLoader(), new Class<?>[] {handlerType}, (proxy, method, arguments) -> {
                    switch (method.getName()) {
                        case "handle" -> told(count.incrementAndGet() == 1, onFirst, onSecond);
                        case "hashCode" -> {
                            return System.identityHashCode(proxy);
                        }
                        case "equals" -> {
                            return proxy == arguments[0];
                        }
                        default -> {
                            return "jobstream worker";
                        }
                    }
                    return null;
                });
        for (String name : NAMES) {
            Object signal = signalType.getConstructor(String.class).newInstance(name);
            earlier.put(signal, handle.invoke(null, signal, handler));
        }
    }

    private void told(boolean isFirst, Runnable onFirst, Runnable onSecond) {
        if (isFirst) {
            onFirst.run();
        } else {
            close();
            onSecond.run();
        }
    }

    /** Puts what was there before back in its place. */
    @Override
    public synchronized void close() {
        earlier.forEach((signal, before) -> {
            try {
                handle.invoke(null, signal, before);
            } catch (ReflectiveOperationException impossible) {
                throw new LinkageError("it could be taken, so it can be given back", impossible);
            }
        });
        earlier.clear();
    }
}
