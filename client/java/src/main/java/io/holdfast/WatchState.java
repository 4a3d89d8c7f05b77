// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.util.Optional;

/**
 * What a watch tells: who holds the lock, or that this is not known now, and why.
 *
 * @param holder empty: the lock is free, if the state is known
 * @param whyUnknown "" when it is known
 */
public record WatchState(Optional<Holder> holder, String whyUnknown) {
    static WatchState free() {
        return new WatchState(Optional.empty(), "");
    }

    static WatchState held(Holder holder) {
        return new WatchState(Optional.of(holder), "");
    }

    static WatchState unknown(String why) {
        return new WatchState(Optional.empty(), why);
    }

    public boolean isKnown() {
        return whyUnknown.isEmpty();
    }
}
