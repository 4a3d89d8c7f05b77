// SPDX-License-Identifier: Apache-2.0
// node driver.js redlock|ioredis SOCKET pairs|hot CONCURRENCY SECONDS: locks as Node programs take them.
// One client for the process, auto-pipelining on (the documented fast setting); redlock with its
// defaults, but trying for ever. "ioredis" is the plain lock: SET NX PX, and a script that compares and
// deletes, every 100 ms or so.
"use strict";
const crypto = require("node:crypto");
const readline = require("node:readline");
const Redis = require("ioredis");
const Redlock = require("redlock");

const TTL_MS = 30000;
const WARM_UP_MS = 500;
const [library, socket, mix, concurrency, seconds] = process.argv.slice(2);
const redis = new Redis(socket, { enableAutoPipelining: true });

const COMPARE_AND_DELETE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
redis.defineCommand("giveUp", { numberOfKeys: 1, lua: COMPARE_AND_DELETE });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function plain(key) {
  const token = crypto.randomBytes(16).toString("hex");
  while ((await redis.set(key, token, "PX", TTL_MS, "NX")) !== "OK") {
    await pause(50 + Math.random() * 100);
  }
  return async () => {
    if ((await redis.giveUp(key, token)) !== 1) throw new Error("the lock was lost");
  };
}

const redlock = new Redlock([redis], { retryCount: -1 });

async function withRedlock(key) {
  const lock = await redlock.lock(key, TTL_MS);
  return () => lock.unlock();
}

const take = library === "redlock" ? withRedlock : plain;

async function load(milliseconds) {
  const samples = [];
  let handOffs = 0;
  let owner = -1;
  const started = performance.now();
  const until = started + milliseconds;
  const worker = async (number) => {
    const key = `bench-node-${process.pid}-${mix === "hot" ? 0 : number}`;
    while (performance.now() < until) {
      const from = performance.now();
      const giveUp = await take(key);
      if (performance.now() < until) {
        samples.push((performance.now() - from) * 1000);
        if (owner !== number) handOffs++;
        owner = number;
      }
      await giveUp();
    }
  };
  const workers = Array.from({ length: Number(concurrency) }, (_, number) => worker(number));
  await pause(milliseconds);
  const counted = samples.slice().sort((a, b) => a - b);
  const took = (performance.now() - started) / 1000;
  return { workers, result: { operations: counted.length, hand_offs: handOffs, seconds: took, samples: counted } };
}

function at(sorted, part) {
  return sorted.length > 0 ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : 0;
}

async function main() {
  const warm = await load(WARM_UP_MS);
  await Promise.all(warm.workers);
  const lines = readline.createInterface({ input: process.stdin });
  console.log("ready");
  lines.once("line", async () => {
    const { result } = await load(Number(seconds) * 1000);
    const { samples, ...rest } = result;
    console.log(
      JSON.stringify({ ...rest, acquire_p50_us: at(samples, 0.5), acquire_p99_us: at(samples, 0.99) }),
    );
  });
  lines.once("close", () => process.exit(0));
}

main();
