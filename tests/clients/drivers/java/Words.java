// SPDX-License-Identifier: Apache-2.0
package io.holdfast.driver;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.holdfast.BaseLease;
import io.holdfast.BusyException;
import io.holdfast.CancelledException;
import io.holdfast.DeadlockException;
import io.holdfast.Holder;
import io.holdfast.HoldfastException;
import io.holdfast.InvalidRequestException;
import io.holdfast.LeaseLostException;
import io.holdfast.LimitReachedException;
import io.holdfast.Lock;
import io.holdfast.NotHeldException;
import io.holdfast.RefusedException;
import io.holdfast.ServerAwayException;
import io.holdfast.TimedOutException;
import io.holdfast.WatchState;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** The language of tests/clients/drivers/README.md, in the library's terms and back. */
final class Words {
    private static final Map<Class<? extends HoldfastException>, String> KINDS = Map.of(
            BusyException.class, "busy",
            NotHeldException.class, "not_held",
            LeaseLostException.class, "not_held",
            InvalidRequestException.class, "invalid",
            ServerAwayException.class, "away",
            TimedOutException.class, "timeout",
            LimitReachedException.class, "limit",
            DeadlockException.class, "deadlock",
            CancelledException.class, "cancelled",
            RefusedException.class, "refused");
    private static final Gson GSON = new GsonBuilder().serializeNulls().create();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Words() {}

    static synchronized void say(Map<String, ?> line) {
        OUT.println(GSON.toJson(line));
    }

    static Map<String, Object> event(String event, String what, Object name) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", event);
        line.put(what, name);
        return line;
    }

    static void answer(JsonObject request, Map<String, ?> extra) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("id", request.get("id"));
        line.put("result", "ok");
        line.putAll(extra);
        say(line);
    }

    static void refuse(JsonObject request, HoldfastException failure) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("id", request.get("id"));
        line.put("result", KINDS.get(failure.getClass()));
        line.put("error", failure.getMessage());
        if (failure instanceof BusyException busy) {
            line.put("holder", holder(Optional.of(busy.holder())));
        }
        say(line);
    }

    // Requests

    static String text(JsonObject request, String field) {
        return request.has(field) ? request.get(field).getAsString() : null;
    }

    static byte[] token(JsonObject request) {
        return HexFormat.of().parseHex(text(request, "token"));
    }

    static Duration duration(JsonObject request, String field) {
        return Duration.ofMillis(request.has(field) ? request.get(field).getAsLong() : 0);
    }

    static String[] keys(JsonObject request) {
        if (!request.has("keys")) {
            return new String[] {text(request, "key")};
        }
        JsonArray keys = request.getAsJsonArray("keys");
        String[] found = new String[keys.size()];
        for (int i = 0; i < found.length; i++) {
            found[i] = keys.get(i).getAsString();
        }
        return found;
    }

    /** What the request gives of how to hold the lock. */
    static Lock options(JsonObject request, Lock lock) {
        times(request, lock);
        with(request, "label", lock::label);
        with(request, "value", value -> lock.value(value.getBytes(StandardCharsets.UTF_8)));
        if ("shared".equals(text(request, "mode"))) {
            lock.shared();
        }
        with(request, "limit", limit -> lock.shared(Integer.parseInt(limit)));
        return lock;
    }

    private static void times(JsonObject request, Lock lock) {
        Map<String, Consumer<Duration>> setters = Map.of(
                "ttl_ms", lock::ttl,
                "wait_ms", lock::wait,
                "grace_ms", lock::grace,
                "lock_delay_ms", lock::lockDelay,
                "max_hold_ms", lock::maxHold,
                "heartbeat_ms", lock::heartbeat);
        setters.forEach((field, set) -> with(request, field, ms -> set.accept(duration(request, field))));
    }

    private static void with(JsonObject request, String field, Consumer<String> use) {
        if (request.has(field)) {
            use.accept(text(request, field));
        }
    }

    // Events and answers

    /** The callbacks of the lease that the request names. */
    static Lock events(JsonObject request, Lock lock) {
        String name = text(request, "lease");
        return lock.onQueued((position, holder) -> {
                    Map<String, Object> line = event("queued", "id", request.get("id"));
                    line.put("position", position);
                    line.put("holder", holder(holder));
                    say(line);
                })
                .onAtRisk(left -> {
                    Map<String, Object> line = event("at_risk", "lease", name);
                    line.put("valid_for_ms", left.toMillis());
                    say(line);
                })
                .onLost(loss -> {
                    Map<String, Object> line = event("lost", "lease", name);
                    line.put("reason", loss.word());
                    say(line);
                });
    }

    static Map<String, Object> holder(Optional<Holder> told) {
        return told.map(holder -> {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("label", holder.label());
                    fields.put("fence", holder.fence());
                    fields.put("mode", holder.shared() ? "shared" : "exclusive");
                    fields.put("holders", holder.holders());
                    fields.put("foreign", holder.foreign());
                    fields.put("closed", holder.closed());
                    fields.put("value", new String(holder.value(), StandardCharsets.UTF_8));
                    return fields;
                })
                .orElse(null);
    }

    static Map<String, Object> validFor(BaseLease lease) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("valid_for_ms", lease.validFor().toMillis());
        return fields;
    }

    static Map<String, Object> lease(BaseLease lease) {
        Map<String, Object> fields = validFor(lease);
        fields.put("token", HexFormat.of().formatHex(lease.token()));
        if (lease.isValid()) {
            fields.put("fence", lease.fence());
            fields.put("fences", lease.fences());
        }
        return fields;
    }

    static Map<String, Object> state(String watch, WatchState told) {
        Map<String, Object> line = event("state", "watch", watch);
        if (told.isKnown()) {
            line.put("holder", holder(told.holder()));
        } else {
            line.put("unknown", true);
        }
        return line;
    }
}
