// The network between browser and origin: a reverse proxy with a narrow, slow or lossy line, and a log of all that
// went over it. It sees what no player tells: a request that was cut short, and one that was never made again.

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { segmentOf } from './traffic.js';

const PACKET_BYTES = 1460;
const STEP_MS = 50; // a slow line is fed in steps about this long, so that a new rate is felt at once
const STEP_BYTES = { min: 1460, max: 65_536 };
const RETRANSMISSION_MS = 200; // a usual minimum of TCP's retransmission timer

/**
 * @typedef {object} Conditions
 * @property {number} rate_bps of the line, shared by all responses
 * @property {number} latency_ms before the first byte of each response
 * @property {number} jitter_ms added to the latency, evenly spread
 * @property {number} loss share of packets lost; each makes its response wait for a retransmission
 * @property {number} cut_each of so many segments one whose connection dies in the middle; 0 for none
 *
 * @typedef {object} Exchange
 * @property {string} path
 * @property {number} start_ms since the network began
 * @property {number | null} end_ms
 * @property {number | null} status
 * @property {number} body_bytes that were sent
 * @property {'running' | 'done' | 'aborted' | 'cut' | 'failed'} state aborted by the browser, cut by the network
 * @property {Record<string, string>} headers of the response
 */

/** @type {Conditions} */
export const PERFECT = { rate_bps: Infinity, latency_ms: 0, jitter_ms: 0, loss: 0, cut_each: 0 };

/** A line with room for every rung of the sample, and no more: Shaka takes what comes within 5 ms for cached, and weighs
 *  what it learns of the line by the time the bytes took. */
export const HOME = { ...PERFECT, rate_bps: 6_000_000, latency_ms: 20 };

/** @param {string} origin URL of what lies behind the network */
export async function startNetwork(origin) {
  const line = new Line();
  /** @type {Exchange[]} */
  const log = [];
  /** @type {((path: string) => number | null)} a status instead of the origin's answer */
  let refuse = () => null;
  const upstream = new http.Agent({ keepAlive: true });
  const began_ms = performance.now();
  const now_ms = () => performance.now() - began_ms;

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, origin);
    const exchange = { path: pathname, start_ms: now_ms(), end_ms: null, status: null, body_bytes: 0, state: 'running', headers: {} };
    log.push(exchange);
    const end = (state) => {
      if (exchange.state !== 'running') return;
      exchange.state = state;
      exchange.end_ms = now_ms();
    };
    response.on('finish', () => end('done'));
    response.on('close', () => end('aborted'));
    const status = refuse(pathname);
    try {
      await line.delay();
      if (status !== null) {
        exchange.status = status;
        response.writeHead(status).end();
        return;
      }
      const answer = await ask(upstream, origin, request, response);
      exchange.status = answer.statusCode;
      exchange.headers = answer.headers;
      response.writeHead(answer.statusCode, answer.rawHeaders);
      await line.carry(answer, response, exchange, end);
    } catch (error) {
      end('failed');
      exchange.headers.error = error.message;
      response.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    log,
    now_ms,
    /** @param {Partial<Conditions>} conditions the others stay as they are */
    set: (conditions) => line.set(conditions),
    /** @param {(path: string) => number | null} choose */
    refuse: (choose) => {
      refuse = choose;
    },
    close: async () => {
      server.closeAllConnections();
      upstream.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes a request on; ends it when the browser goes away. */
function ask(agent, origin, request, response) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin);
    const passed = http.request({ agent, hostname, port, method: request.method, path: request.url, headers: request.headers });
    passed.on('response', resolve);
    passed.on('error', reject);
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
}

/** One line for all responses: bytes go over it in steps, in the order they were asked to. */
class Line {
  #conditions = PERFECT;
  #free_ms = 0;
  #segments = 0;

  set(conditions) {
    this.#conditions = { ...this.#conditions, ...conditions };
    this.#free_ms = performance.now();
  }

  async delay() {
    const { latency_ms, jitter_ms } = this.#conditions;
    if (latency_ms + jitter_ms > 0) await sleep(latency_ms + Math.random() * jitter_ms);
  }

  /** Sends a body, or half of it. */
  async carry(answer, response, exchange, end) {
    const length_bytes = Number(answer.headers['content-length'] ?? 0);
    const cut_bytes = this.#cuts(exchange.path) ? Math.floor(length_bytes / 2) : Infinity;
    for await (const chunk of answer) {
      for (let at = 0; at < chunk.length; ) {
        const step = chunk.subarray(at, at + Math.min(this.#stepBytes(), cut_bytes - exchange.body_bytes));
        if (step.length === 0) {
          end('cut');
          response.destroy();
          return;
        }
        at += step.length;
        await this.#pass(step.length);
        if (response.destroyed) return;
        exchange.body_bytes += step.length;
        if (!response.write(step)) await drained(response);
      }
    }
    response.end();
  }

  #cuts(path) {
    const { cut_each } = this.#conditions;
    return segmentOf(path) !== null && cut_each > 0 && ++this.#segments % cut_each === 0;
  }

  #stepBytes() {
    const bytes = Math.round((this.#conditions.rate_bps / 8) * (STEP_MS / 1000));
    return Math.min(Math.max(bytes, STEP_BYTES.min), STEP_BYTES.max);
  }

  async #pass(bytes) {
    const { rate_bps, loss, latency_ms } = this.#conditions;
    const now_ms = performance.now();
    if (rate_bps !== Infinity) {
      this.#free_ms = Math.max(this.#free_ms, now_ms) + (bytes * 8000) / rate_bps;
      await sleep(this.#free_ms - now_ms);
    }
    const lost = 1 - (1 - loss) ** Math.ceil(bytes / PACKET_BYTES);
    if (Math.random() < lost) await sleep(2 * latency_ms + Math.random() * RETRANSMISSION_MS);
  }
}

/** Resolves when a response takes more bytes, or is gone. */
function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
