// SPDX-License-Identifier: Apache-2.0
package io.holdfast.driver;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.holdfast.BaseLease;
import io.holdfast.DetachedLease;
import io.holdfast.Election;
import io.holdfast.HoldfastClient;
import io.holdfast.HoldfastException;
import io.holdfast.Lease;
import io.holdfast.Lock;
import io.holdfast.Watch;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;

/** Makes the library do what the lines on its input say: each request has a thread. */
public final class Driver {
    private static final Map<String, Object> NOTHING = Map.of();

    private final Map<String, BaseLease> leases = new ConcurrentHashMap<>();
    private final Map<Long, CompletableFuture<Lease>> requests = new ConcurrentHashMap<>();
    private final Map<String, Watch> watches = new ConcurrentHashMap<>();
    private final Map<String, Election> elections = new ConcurrentHashMap<>();
    private volatile HoldfastClient client;

    public static void main(String[] arguments) throws IOException {
        Driver driver = new Driver();
        Map<String, Object> ready = Words.event("ready", "library", "java 0.1.0");
        ready.put("features", List.of("election", "health", "closing"));
        Words.say(ready);
        BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonObject request = JsonParser.parseString(line).getAsJsonObject();
            Thread thread = new Thread(() -> driver.answer(request));
            thread.setDaemon(true);
            thread.start();
        }
        if (driver.client != null) {
            driver.client.close();
        }
    }

    private void answer(JsonObject request) {
        try {
            Words.answer(request, act(request));
        } catch (HoldfastException failure) {
            Words.refuse(request, failure);
        }
    }

    private Map<String, Object> act(JsonObject request) {
        return switch (Words.text(request, "do")) {
            case "open" -> open(request);
            case "hold" -> hold(
                    request, Words.options(request, client.lock(Words.keys(request))));
            case "resume" -> hold(request, resume(request));
            case "acquire_detached" -> acquireDetached(request);
            case "cancel" -> cancel(request);
            case "release" -> release(lease(request));
            case "renew" -> renew(request, lease(request));
            case "release_token" -> releaseToken(request);
            case "renew_token" -> renewToken(request);
            case "lease" -> Words.lease(lease(request));
            case "inspect" -> inspect(request);
            case "watch" -> watch(request);
            case "unwatch" -> unwatch(request);
            case "elect" -> elect(request);
            case "resign" -> resign(request);
            case "health" -> health();
            case "close" -> close();
            default -> throw new IllegalArgumentException(request.toString());
        };
    }

    private Map<String, Object> open(JsonObject request) {
        HoldfastClient.Builder builder = HoldfastClient.builder().server(Words.text(request, "server"));
        if (request.has("ca_file")) {
            builder.trust(Path.of(Words.text(request, "ca_file")));
        }
        if (request.has("timeout_ms")) {
            builder.timeout(Words.duration(request, "timeout_ms"));
        }
        client = builder.build();
        return NOTHING;
    }

    private Lock resume(JsonObject request) {
        Lock lock = client.resume(Words.text(request, "key"), Words.token(request));
        return lock.ttl(Words.duration(request, "ttl_ms")).grace(Words.duration(request, "grace_ms"));
    }

    private Map<String, Object> hold(JsonObject request, Lock lock) {
        CompletableFuture<Lease> acquired = Words.events(request, lock).acquireAsync();
        requests.put(request.get("id").getAsLong(), acquired);
        try {
            return keep(request, acquired.join());
        } catch (CancellationException cancelled) {
            return Map.of("result", "cancelled");
        } catch (CompletionException failure) {
            throw (HoldfastException) failure.getCause();
        }
    }

    private Map<String, Object> keep(JsonObject request, BaseLease lease) {
        leases.put(Words.text(request, "lease"), lease);
        return Words.lease(lease);
    }

    private BaseLease lease(JsonObject request) {
        return leases.get(Words.text(request, "lease"));
    }

    private Map<String, Object> acquireDetached(JsonObject request) {
        Lock lock = Words.options(request, client.lock(Words.keys(request)));
        return keep(
                request,
                request.has("token") ? lock.acquireDetached(Words.token(request)) : lock.acquireDetached());
    }

    private Map<String, Object> cancel(JsonObject request) {
        requests.get(request.get("request").getAsLong()).cancel(true);
        return NOTHING;
    }

    private static Map<String, Object> release(BaseLease lease) {
        if (lease instanceof Lease held) {
            held.release();
        } else {
            ((DetachedLease) lease).release();
        }
        return NOTHING;
    }

    private static Map<String, Object> renew(JsonObject request, BaseLease lease) {
        if (lease instanceof Lease held) {
            held.renew();
        } else {
            ((DetachedLease) lease).renew(Words.duration(request, "ttl_ms"));
        }
        return Words.validFor(lease);
    }

    private Map<String, Object> releaseToken(JsonObject request) {
        client.release(Words.text(request, "key"), Words.token(request));
        return NOTHING;
    }

    private Map<String, Object> renewToken(JsonObject request) {
        return Words.validFor(client.renew(
                Words.text(request, "key"), Words.token(request), Words.duration(request, "ttl_ms")));
    }

    private Map<String, Object> inspect(JsonObject request) {
        Map<String, Object> found = new HashMap<>();
        found.put("holder", Words.holder(client.inspect(Words.text(request, "key"))));
        return found;
    }

    private Map<String, Object> watch(JsonObject request) {
        String name = Words.text(request, "watch");
        watches.put(
                name,
                client.watch(Words.text(request, "key"), state -> Words.say(Words.state(name, state))));
        return NOTHING;
    }

    private Map<String, Object> unwatch(JsonObject request) {
        watches.remove(Words.text(request, "watch")).close();
        return NOTHING;
    }

    private Map<String, Object> elect(JsonObject request) {
        String name = Words.text(request, "election");
        Lock lock = Words.options(request, client.lock(Words.text(request, "key")));
        elections.put(
                name,
                lock.elect(
                        lease -> {
                            Map<String, Object> line = Words.event("elected", "election", name);
                            line.put("fence", lease.fence());
                            Words.say(line);
                        },
                        () -> Words.say(Words.event("deposed", "election", name))));
        return NOTHING;
    }

    private Map<String, Object> resign(JsonObject request) {
        elections.get(Words.text(request, "election")).resign();
        return NOTHING;
    }

    private Map<String, Object> health() {
        client.checkHealth();
        return NOTHING;
    }

    private Map<String, Object> close() {
        client.close();
        return NOTHING;
    }
}
