// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/** Tells the application the newest of what happens: who is slow to listen misses what came before. */
final class Newest<T> {
    private final Loop loop;
    private final Consumer<T> listener;
    private final AtomicReference<T> news = new AtomicReference<>();

    Newest(Loop loop, Consumer<T> listener) {
        this.loop = loop;
        this.listener = listener;
    }

    void set(T one) {
        if (news.getAndSet(one) == null) {
            loop.tell(this::tell);
        }
    }

    private void tell() {
        T one = news.getAndSet(null);
        if (one != null) {
            listener.accept(one);
        }
    }

    void clear() {
        news.set(null);
    }
}
