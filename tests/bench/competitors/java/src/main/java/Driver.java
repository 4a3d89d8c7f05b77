// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Driver redisson HOST:PORT pairs|hot CONCURRENCY SECONDS: Redisson's RLock, a thread for each, and
 * as many connections. It waits by publish and subscribe.
 */
public final class Driver {
    private static final long TTL_S = 30;
    private static final double WARM_UP_S = 1.5;

    private final RedissonClient client;
    private final String mix;
    private final int concurrency;
    private final AtomicInteger owner = new AtomicInteger(-1);
    private final AtomicInteger handOffs = new AtomicInteger();

    private Driver(String address, String mix, int concurrency) {
        Config config = new Config();
        config.useSingleServer()
            .setAddress("redis://" + address)
            .setConnectionPoolSize(Math.max(64, concurrency))
            .setSubscriptionsPerConnection(50);
        this.client = Redisson.create(config);
        this.mix = mix;
        this.concurrency = concurrency;
    }

    private void work(int number, long until, List<Double> samples) {
        long pid = ProcessHandle.current().pid();
        RLock lock = client.getLock("bench-java-" + pid + "-" + (mix.equals("hot") ? 0 : number));
        while (System.nanoTime() < until) {
            long from = System.nanoTime();
            lock.lock(TTL_S, TimeUnit.SECONDS);
            double took = (System.nanoTime() - from) / 1000.0;
            if (owner.getAndSet(number) != number) {
                handOffs.incrementAndGet();
            }
            lock.unlock();
            samples.add(took);
        }
    }

    private List<Double> run(double seconds) throws InterruptedException {
        long until = System.nanoTime() + (long) (seconds * 1e9);
        handOffs.set(0);
        List<List<Double>> each = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < concurrency; i++) {
            int number = i;
            List<Double> samples = Collections.synchronizedList(new ArrayList<>());
            each.add(samples);
            Thread thread = new Thread(() -> work(number, until, samples));
            thread.setDaemon(true);
            threads.add(thread);
            thread.start();
        }
        Thread.sleep(Math.max(0, (until - System.nanoTime()) / 1_000_000));
        List<Double> all = new ArrayList<>();
        for (List<Double> samples : each) {
            synchronized (samples) {
                all.addAll(samples);
            }
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Collections.sort(all);
        return all;
    }

    private static double at(List<Double> sorted, double part) {
        return sorted.isEmpty() ? 0 : sorted.get(Math.min(sorted.size() - 1, (int) (sorted.size() * part)));
    }

    public static void main(String[] words) throws Exception {
        double seconds = Double.parseDouble(words[4]);
        Driver driver = new Driver(words[1], words[2], Integer.parseInt(words[3]));
        driver.run(WARM_UP_S);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        input.readLine();
        List<Double> all = driver.run(seconds);
        System.out.println(String.format(
            Locale.ROOT,
            "{\"operations\": %d, \"hand_offs\": %d, \"seconds\": %.3f, \"acquire_p50_us\": %.1f, \"acquire_p99_us\": %.1f}",
            all.size(), driver.handOffs.get(), seconds, at(all, 0.5), at(all, 0.99)));
        while (input.readLine() != null) {
        }
        System.exit(0);
    }
}
