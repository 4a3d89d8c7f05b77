// SPDX-License-Identifier: Apache-2.0
// Works while it has the lock; until then it waits for whoever has it.
import { setTimeout } from "node:timers/promises";
import { Client } from "holdfast";

const name = process.argv[2] ?? "worker";
const onQueued = (position) => console.log(`${name}: waits, place ${position}`);

const client = new Client();
await client.withLock("demo", { label: name, waitMs: 600_000, onQueued }, async (lease, signal) => {
    console.log(`${name}: has the lock`);
    while (!signal.aborted) {
        await setTimeout(1_000, undefined, { signal }); // your work
    }
});
await client.close();
