// SPDX-License-Identifier: Apache-2.0
import io.holdfast.HoldfastClient;
import io.holdfast.Lease;
import java.time.Duration;

public class Worker {
    public static void main(String[] names) throws InterruptedException {
        String name = names[0];
        try (HoldfastClient client = HoldfastClient.connect(); // $HOLDFAST_SERVER, else tcp://127.0.0.1:7420
                Lease lease = client.lock("nightly-report").label(name).wait(Duration.ofHours(1)).acquire()) {
            while (true) { // until LeaseLostException, once it is lost
                System.out.println(name + " works, with fence " + lease.fence());
                Thread.sleep(1000);
            }
        }
    }
}
