package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Handles SIGTERM and SIGINT instead of ending the process. The first signal runs one task, the second another; a third
 * has its former effect.
 *
 * <p>This requires {@code sun.misc.Signal} of the module {@code jdk.unsupported}. javac warns of it and it may be
 * missing, so it is loaded by name.
 */
final class Signals implements AutoCloseable {
    private static final List<String> NAMES = List.of("TERM", "INT");

    private final Class<?> signalType;
    private final Class<?> handlerType;
    private final Method handle;
    /** The previous handlers by signal. */
    private final Map<Object, Object> previous = new LinkedHashMap<>();

    private Signals() throws ReflectiveOperationException {
        signalType = Class.forName("sun.misc.Signal");
        handlerType = Class.forName("sun.misc.SignalHandler");
        handle = signalType.getMethod("handle", signalType, handlerType);
    }

    /** Handles signals until it is closed; null if this process cannot, as with {@code java -Xrs}. */
    static Signals listen(Runnable onFirst, Runnable onSecond) {
        Signals signals = null;
        try {
            signals = new Signals();
            signals.install(onFirst, onSecond);
            return signals;
        } catch (ReflectiveOperationException unavailable) {
            Worker.log(Level.DEBUG, () -> "signals cannot be handled", unavailable);
            if (signals != null) {
                signals.close();
            }
            return null;
        }
    }

    private synchronized void install(Runnable onFirst, Runnable onSecond) throws ReflectiveOperationException {
        AtomicInteger count = new AtomicInteger();
        Object handler = Proxy.newProxyInstance(
                Signals.class.getClassLoader(), new Class<?>[] {handlerType}, (proxy, method, arguments) -> {
                    switch (method.getName()) {
                        case "handle" -> onSignal(count.incrementAndGet() == 1, onFirst, onSecond);
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
            previous.put(signal, handle.invoke(null, signal, handler));
        }
    }

    private void onSignal(boolean isFirst, Runnable onFirst, Runnable onSecond) {
        if (isFirst) {
            onFirst.run();
        } else {
            close();
            onSecond.run();
        }
    }

    /** Restores the previous handlers. */
    @Override
    public synchronized void close() {
        previous.forEach((signal, before) -> {
            try {
                handle.invoke(null, signal, before);
            } catch (ReflectiveOperationException impossible) {
                throw new LinkageError("the previous signal handler cannot be restored", impossible);
            }
        });
        previous.clear();
    }
}
