// SPDX-License-Identifier: Apache-2.0
import io.holdfast.Election;
import io.holdfast.HoldfastClient;
import io.holdfast.Watch;
import io.holdfast.WatchState;
import java.nio.charset.StandardCharsets;

/** One of these leads, and all know where it is: java Leader.java ADDRESS */
public class Leader {
    public static void main(String[] addresses) {
        String address = addresses[0];
        try (HoldfastClient client = HoldfastClient.connect();
                Watch watch = client.watch("scheduler", Leader::tell);
                Election election = client.lock("scheduler")
                        .value(address.getBytes(StandardCharsets.UTF_8))
                        .elect(
                                lease -> System.out.println(address + " leads, with fence " + lease.fence()),
                                () -> System.out.println(address + " leads no more"))) {
            election.done().join(); // here: for ever
        }
    }

    private static void tell(WatchState state) {
        if (!state.isKnown()) {
            System.out.println("who leads is not known: " + state.whyUnknown());
        }
        state.holder().ifPresent(leader -> System.out.println(
                "the leader is at " + new String(leader.value(), StandardCharsets.UTF_8)));
    }
}
