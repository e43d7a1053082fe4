package io.github.jobstream;

import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;

/**
 * Iterates over the items of a list that the server sends in pages. A page is requested once the previous one was read.
 *
 * @param <T> type of the items
 */
final class Pages<T> implements Iterator<T> {
    private final Function<String, Page<T>> request;
    private Iterator<T> page = Collections.emptyIterator();
    /** Token of the next page; null after the last. */
    private String nextToken = "";

    /** A page and the token of the next one; empty after the last. */
    record Page<T>(List<T> items, String nextToken) {}

    /** Requests each page by its token; that of the first page is empty. */
    Pages(Function<String, Page<T>> request) {
        this.request = request;
    }

    @Override
    public boolean hasNext() {
        // A page may be empty without being the last.
        while (!page.hasNext() && nextToken != null) {
            Page<T> next = request.apply(nextToken);
            page = next.items.iterator();
            nextToken = next.nextToken.isEmpty() ? null : next.nextToken;
        }
        return page.hasNext();
    }

    @Override
    public T next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return page.next();
    }
}
