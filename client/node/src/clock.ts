// SPDX-License-Identifier: Apache-2.0
/*
 * The clock that deadlines of leases run on: it never goes back, and it counts the time for which
 * the machine was suspended, which Node's own monotonic clock leaves out.
 */
import { uptime } from "node:os";
import { performance } from "node:perf_hooks";

/** What the two clocks may differ by without a suspend between them: uptime() counts in 10 ms. */
const TOLERANCE_MS = 100;

const startMs = uptime() * 1000 - performance.now();
let suspendedMs = 0;

/** Milliseconds since some moment in the past. */
export function nowMs(): number {
    const runningMs = performance.now();
    const missedMs = uptime() * 1000 - runningMs - startMs;
    if (missedMs > suspendedMs + TOLERANCE_MS) {
        suspendedMs = missedMs;
    }
    return runningMs + suspendedMs;
}
