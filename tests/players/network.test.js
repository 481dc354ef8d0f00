// The harness's own network: what the player tests rest on.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';

import { PERFECT, startNetwork } from './harness/network.js';
import { lost, missing, segmentOf } from './harness/traffic.js';

const BODY_BYTES = 200_000;

describe('network', () => {
  let origin, network;
  before(async () => {
    origin = http.createServer((_, response) => response.end(Buffer.alloc(BODY_BYTES)));
    await new Promise((resolve) => origin.listen(0, '127.0.0.1', resolve));
    network = await startNetwork(`http://127.0.0.1:${origin.address().port}`);
  });
  after(async () => {
    await network.close();
    await new Promise((resolve) => origin.close(resolve));
  });
  beforeEach(() => {
    network.set(PERFECT);
    network.log.length = 0;
  });

  async function took_ms(ask) {
    const start_ms = performance.now();
    await ask();
    return performance.now() - start_ms;
  }
  const get = async () => (await fetch(network.url)).arrayBuffer();

  it('carries every byte', async () => {
    assert.equal((await get()).byteLength, BODY_BYTES);
    assert.equal(network.log[0].body_bytes, BODY_BYTES);
    assert.equal(network.log[0].state, 'done');
  });

  it('keeps its rate, over all responses together', async () => {
    network.set({ rate_bps: 1_600_000 });
    const alone_ms = await took_ms(get);
    const together_ms = await took_ms(() => Promise.all([get(), get()]));
    // A busy machine may take longer, and nothing may be faster.
    assert.ok(alone_ms > 850 && alone_ms < 3000, `${alone_ms} ms for a second's worth of bytes`);
    assert.ok(together_ms > 1750 && together_ms < 6000, `${together_ms} ms for two seconds' worth`);
  });

  it('feels a new rate in the middle of a response', async () => {
    network.set({ rate_bps: 160_000 });
    const whole_ms = took_ms(get);
    setTimeout(() => network.set({ rate_bps: Infinity }), 300);
    assert.ok((await whole_ms) < 1000);
  });

  it('notes who ended a response early', async () => {
    network.set({ rate_bps: 160_000 });
    await assert.rejects(fetch(network.url, { signal: AbortSignal.timeout(300) }).then((response) => response.arrayBuffer()));
    await new Promise((resolve) => setTimeout(resolve, 100));
    network.set({ ...PERFECT, cut_each: 2 });
    const segment = async () => (await fetch(`${network.url}/clear/film/v240/1.m4s`)).arrayBuffer();
    await segment();
    await assert.rejects(segment());
    assert.deepEqual(network.log.map(({ state }) => state), ['aborted', 'done', 'cut']);
    assert.equal(network.log[2].body_bytes, BODY_BYTES / 2);
  });

  it('waits as long as it says', async () => {
    network.set({ latency_ms: 200 });
    const late_ms = await took_ms(get);
    assert.ok(late_ms > 195 && late_ms < 300, `${late_ms} ms`);
    network.set({ ...PERFECT, loss: 0.2 });
    assert.ok((await took_ms(get)) > 50, 'a lossy line is slower');
  });

  it('knows a hole from a repeated request', () => {
    const exchange = (path, state) => ({ path, state });
    const log = [
      exchange('/clear/film/v.r/v480/1.m4s', 'aborted'),
      exchange('/clear/film/v.r/v240/1.m4s', 'done'),
      exchange('/clear/film/v.r/v240/3.m4s', 'aborted'),
      exchange('/clear/film/v.r/a-und/3.m4s', 'done'),
      exchange('/clear/film/v.r/v240/init.mp4', 'done'),
    ];
    assert.deepEqual(lost(log), ['v3']);
    assert.deepEqual(missing(log, 'v', 3), [2, 3]);
    assert.deepEqual(segmentOf('/clear/film/v.r/a-und/3.m4s'), { track: 'a-und', kind: 'a', number: 3 });
  });
});
