// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.Mode;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/**
 * Who holds a lock, for people and for deciding when to ask again.
 *
 * @param key which lock, where several were asked for; else ""
 * @param label "" when there is none
 * @param value only inspect and watch tell it
 * @param fence 0 when foreign
 * @param shared with others
 * @param holders how many hold it; the rest tells of one of them
 * @param foreign another program's key
 * @param closed nobody has it, but its lock delay is not over
 * @param since when it was granted, if that is known
 * @param remaining until Redis lets go unless it is renewed; empty: never
 */
public record Holder(
        String key,
        String label,
        byte[] value,
        long fence,
        boolean shared,
        int holders,
        boolean foreign,
        boolean closed,
        Optional<Instant> since,
        Optional<Duration> remaining) {

    static Holder of(LocksOuterClass.Holder message) {
        long since = message.getSinceMs();
        long remaining = message.getRemainingMs();
        return new Holder(
                message.getKey(),
                message.getLabel(),
                message.getValue().toByteArray(),
                message.getFence(),
                message.getMode() == Mode.MODE_SHARED,
                message.getHolders(),
                message.getForeign(),
                message.getClosed(),
                since == 0 ? Optional.empty() : Optional.of(Instant.ofEpochMilli(since)),
                remaining < 0 ? Optional.empty() : Optional.of(Duration.ofMillis(remaining)));
    }
}
