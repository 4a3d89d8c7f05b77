# SPDX-License-Identifier: Apache-2.0
import sys
import time

import holdfast

name = sys.argv[1]
with holdfast.Client() as client:  # $HOLDFAST_SERVER, else tcp://127.0.0.1:7420
    with client.lock("nightly-report", wait=3600, label=name) as lease:
        while True:
            print(f"{name} works, with fence {lease.fence}", flush=True)  # LeaseLost, once it is lost
            time.sleep(1)
