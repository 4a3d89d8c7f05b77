// SPDX-License-Identifier: Apache-2.0
// What @grpc/grpc-js does with a server, with methods made at run time: probe.mjs TARGET PROTO-DIR [CA-FILE]
// One line for each check: "name: ok", or what went wrong; the exit code tells whether all was well.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import descriptor from 'protobufjs/ext/descriptor/index.js';

const [target, protoDir, caFile] = process.argv.slice(2);
const factor = Number(process.env.HOLDFAST_TIME_FACTOR ?? '1');
const api = grpc.loadPackageDefinition(
  loader.loadSync(
    ['holdfast/v1/locks.proto', 'grpc/health/v1/health.proto', 'grpc/reflection/v1/reflection.proto'],
    { includeDirs: [protoDir], longs: Number, enums: String, oneofs: true },
  ),
);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const channels = [];

function credentials() {
  return caFile ? grpc.credentials.createSsl(readFileSync(caFile)) : grpc.credentials.createInsecure();
}

/** A stub with a connection of its own. */
function connect(Service = api.holdfast.v1.Locks) {
  const stub = new Service(target, credentials(), { 'grpc.use_local_subchannel_pool': 1 });
  channels.push(stub);
  return stub;
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

function equal(found, wanted, what) {
  assert(isDeepStrictEqual(found, wanted), `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
}

const within = (seconds) => ({ deadline: Date.now() + seconds * 1000 * factor });

/** A unary call's answer. */
function call(stub, method, request, options = within(20)) {
  return new Promise((resolve, reject) => {
    stub[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

/** The error with which a promise ends. */
async function failure(promise, code) {
  const error = await promise.then(
    (value) => new Error(`no error but ${JSON.stringify(value)}`),
    (error) => error,
  );
  assert(error.code === code, `code ${error.code}, not ${code}: ${error.message}`);
  return error.details;
}

/** A stream to be read one event at a time. Nothing is read before it is asked for. */
class Stream {
  constructor(call) {
    this.call = call;
    this.events = call[Symbol.asyncIterator]();
  }

  /** [kind, event]; undefined at the end. */
  async next(oneof = 'event') {
    const { value, done } = await this.events.next();
    return done ? undefined : [value[oneof], value[value[oneof]]];
  }

  async expect(kind, oneof) {
    let heard = await this.next(oneof);
    while (heard?.[0] === 'queued' && kind !== 'queued') heard = await this.next(oneof);
    equal(heard?.[0], kind, 'heard');
    return heard[1];
  }

  ping() {
    this.call.write({ ping: {} });
  }

  async release() {
    this.call.end();
    await this.expect('released');
    equal(await this.next(), undefined, 'after the release');
  }
}

function hold(stub, key, more = {}) {
  const stream = new Stream(stub.Hold(within(60)));
  stream.call.write({ ask: { key, ...more } });
  return stream;
}

async function held(stub, key, more) {
  const stream = hold(stub, key, more);
  await stream.expect('granted');
  return stream;
}

async function acquire(stub, key) {
  const { result, lease } = await call(stub, 'Acquire', { key });
  equal(result, 'lease', `acquiring ${key}`);
  return lease;
}

async function release(stub, { key, token }) {
  equal((await call(stub, 'Release', { key, token })).outcome, 'OUTCOME_RELEASED', 'outcome');
}

/** Waits until a watch says so. */
async function untilFree(stub, key) {
  const watch = new Stream(stub.Watch({ key }, within(10)));
  let heard = await watch.next('state');
  while (heard[0] !== 'free') heard = await watch.next('state');
  await cancelled(watch);
}

async function cancelled(stream) {
  const end = failure(stream.next(), grpc.status.CANCELLED);
  stream.call.cancel();
  await end;
}

const checks = {
  async reflection() {
    const stream = connect(api.grpc.reflection.v1.ServerReflection).ServerReflectionInfo(within(20));
    const answers = stream[Symbol.asyncIterator]();
    stream.write({ listServices: '' });
    const { service } = (await answers.next()).value.listServicesResponse;
    assert(service.some(({ name }) => name === 'holdfast.v1.Locks'), 'Locks is not listed');
    stream.write({ fileContainingSymbol: 'holdfast.v1.Locks' });
    const files = (await answers.next()).value.fileDescriptorResponse.fileDescriptorProto;
    const [file] = files.map((bytes) => descriptor.FileDescriptorProto.decode(bytes));
    const methods = file.service[0].method.map(({ name }) => name);
    assert(methods.includes('Acquire') && methods.includes('Hold'), `methods ${methods}`);
    stream.end();
    equal((await answers.next()).done, true, 'the end of the stream');
  },

  async health() {
    equal((await call(connect(api.grpc.health.v1.Health), 'Check', {})).status, 'SERVING', 'health');
  },

  async unary() {
    const stub = connect();
    const lease = await acquire(stub, 'unary');
    equal((await call(stub, 'Inspect', { key: 'unary' })).state, 'held', 'while it is held');
    await release(stub, lease);
    equal((await call(stub, 'Inspect', { key: 'unary' })).state, 'free', 'after the release');
  },

  async watch() {
    const stub = connect();
    const watch = new Stream(stub.Watch({ key: 'watch' }, within(20)));
    await watch.expect('free', 'state');
    const lease = await acquire(stub, 'watch');
    await watch.expect('held', 'state');
    await release(stub, lease);
    await watch.expect('free', 'state');
    await cancelled(watch);
  },

  async hold() {
    const stub = connect();
    const stream = await held(stub, 'hold');
    stream.ping();
    await stream.expect('renewed');
    await stream.release();
    equal((await call(stub, 'Inspect', { key: 'hold' })).state, 'free', 'after the end of input');
  },

  async cancel() {
    const stub = connect();
    await cancelled(await held(stub, 'cancel'));
    await untilFree(stub, 'cancel');
  },

  async deadline() {
    const stream = await held(connect(), 'deadline');
    const stub = connect();
    const started = performance.now();
    const request = { key: 'deadline', waitMs: 60000 };
    await failure(call(stub, 'Acquire', request, { deadline: Date.now() + 300 }), grpc.status.DEADLINE_EXCEEDED);
    const passed = performance.now() - started;
    assert(passed > 250 && passed < 3000 * factor, `${passed} ms`);
    await stream.release();
    equal((await call(stub, 'Inspect', { key: 'deadline' })).state, 'free', 'nobody waits any more');
  },

  async 'large request'() {
    const stub = connect();
    const request = { key: 'large', value: Buffer.alloc(100000) };
    const text = await failure(call(stub, 'Acquire', request), grpc.status.RESOURCE_EXHAUSTED);
    assert(text.includes('max-message-size'), text);
    await failure(hold(stub, 'large', { value: Buffer.alloc(1000000) }).next(), grpc.status.RESOURCE_EXHAUSTED);
    await release(stub, await acquire(stub, 'large'));
  },

  async 'error text'() {
    const name = 'zoë 100% — 鎖\n2nd line';
    const first = connect();
    const second = connect();
    const holds = [await held(first, name), await held(second, 'other')];
    const wait = hold(first, 'other', { waitMs: 60000 });
    await wait.expect('queued');
    const refused = hold(second, name, { waitMs: 60000 });
    const text = await failure(refused.expect('granted'), grpc.status.ABORTED);
    assert(text.includes(name), text);
    await cancelled(wait);
    for (const stream of holds) await stream.release();
  },

  async 'two thousand calls'() {
    const gate = await held(connect(), 'many');
    const stub = connect();
    const request = { key: 'many', mode: 'MODE_SHARED', waitMs: 60000 };
    const calls = Array.from({ length: 2000 }, () => call(stub, 'Acquire', request, within(60)));
    console.log('calls?');
    await input.next();
    await gate.release();
    const fences = (await Promise.all(calls)).map(({ lease }) => lease?.fence);
    equal(new Set(fences).size, 2000, 'fences');
  },

  async 'slow reader'() {
    const stub = connect();
    const slow = await held(stub, 'slow');
    for (let i = 0; i < 20000; i++) slow.ping();
    for (let i = 0; i < 50; i++) await release(stub, await acquire(stub, 'quick'));
    for (let i = 0; i < 20000; i++) await slow.expect('renewed');
    await slow.release();
  },

  async drain() {
    const stub = connect();
    const stream = await held(stub, 'drain');
    const waits = hold(connect(), 'drain', { waitMs: 60000 });
    await waits.expect('queued');
    const health = connect(api.grpc.health.v1.Health).Watch({}, within(30));
    const statuses = health[Symbol.asyncIterator]();
    equal((await statuses.next()).value.status, 'SERVING', 'health');
    console.log('drain?');
    await input.next();
    equal((await statuses.next()).value.status, 'NOT_SERVING', 'health');
    await failure(statuses.next(), grpc.status.UNAVAILABLE);
    stream.ping();
    await stream.expect('renewed');
    await failure(acquire(stub, 'another'), grpc.status.UNAVAILABLE);
    await stream.release();
    await waits.expect('granted');
    await waits.release();
  },
};

let failed = false;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`${name}: ok`);
  } catch (error) {
    failed = true;
    console.log(`${name}: ${JSON.stringify(error.message)}`);
  }
  for (const stub of channels.splice(0)) stub.close();
}
process.exit(failed ? 1 : 0);
