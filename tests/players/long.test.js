// Real footage in every player on several networks: `npm run test:long`, about a quarter of an hour.
//
// What must hold: the film plays to its end without a hole, whatever the line does. What is measured is printed in
// lines that begin with "measured: ".

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { footageStore, startOrigin } from './harness/headwater.js';
import { PERFECT, startNetwork } from './harness/network.js';
import { lost, segments } from './harness/traffic.js';

const MEDIA = join(dirname(fileURLToPath(import.meta.url)), '../../../shared/media');
const TITLES = ['bbb-1080p', 'car-detection'];
const PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js', 'native-hls'];
const BUFFER_S = 12;
const SIDE_BY_SIDE = 2;
const START_MS = 30_000;
const PATIENCE = 4; // times the film's length, on the worst line
const STALL_MS = 500; // without a new frame
/** Of film that was never shown. Chromium lets the sound run on for 3 s when only the picture is late. */
const HOLE_S = 3.5;

/** `changes` takes turns, each for `every_ms`. */
const NETWORKS = {
  'home, 20 Mbit/s, 20 ms': { rate_bps: 20_000_000, latency_ms: 20 },
  'mobile, 3 Mbit/s, 60-100 ms': { rate_bps: 3_000_000, latency_ms: 60, jitter_ms: 40 },
  'train, 6 and .8 Mbit/s by turns of 8 s, 80-140 ms': {
    latency_ms: 80,
    jitter_ms: 60,
    every_ms: 8000,
    changes: [{ rate_bps: 6_000_000 }, { rate_bps: 800_000 }],
  },
  'bad, 1.5 Mbit/s, 150-400 ms, 1 % loss, each 7th segment cut': {
    rate_bps: 1_500_000,
    latency_ms: 150,
    jitter_ms: 250,
    loss: 0.01,
    cut_each: 7,
  },
};

const files = Object.fromEntries(TITLES.map((title) => [title, join(MEDIA, `${title}.mp4`)]));
const absent = Object.values(files).filter((path) => !existsSync(path));
const skip = absent.length > 0 ? `${absent.join(', ')} not here` : false;
const store = skip ? null : await footageStore(files);

describe('real footage', { concurrency: SIDE_BY_SIDE, skip }, () => {
  let origin, browser;
  before(async () => {
    origin = await startOrigin(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const title of TITLES) {
    for (const [name, conditions] of Object.entries(NETWORKS)) {
      for (const player of PLAYERS) {
        it(`${title} with ${player} on ${name}`, async () => {
          const seen = await watch({ title, player, conditions });
          console.log(`measured: ${title} | ${player} | ${name} | ${inWords(seen)}`);
          assert.deepEqual(seen.problems.filter(({ fatal }) => fatal), []);
          assert.deepEqual(seen.lost, []);
          assert.deepEqual(jumps(seen, HOLE_S), [], 'film that was never shown');
        });
      }
    }
  }

  /** Plays a film to its end and answers what was seen of it. */
  async function watch({ title, player, conditions }) {
    const network = await startNetwork(origin.url);
    const stop = apply(network, conditions);
    const viewer = await openPlayer(browser, { base: network.url, title, player, profile: 'clear', buffer_s: BUFFER_S });
    try {
      const { duration_s } = await viewer.until('start', ({ time_s }) => time_s > 0, START_MS);
      const { problems, dropped } = await viewer.until('end', ({ ended }) => ended, PATIENCE * duration_s * 1000);
      return { duration_s, problems, dropped, frames: await viewer.frames(), lost: lost(network.log), exchanges: segments(network.log) };
    } finally {
      stop();
      await viewer.close();
      await network.close();
    }
  }
});

function apply(network, { every_ms, changes = [], ...conditions }) {
  network.set({ ...PERFECT, ...conditions, ...changes[0] });
  let turn = 0;
  const timer = changes.length > 1 && setInterval(() => network.set(changes[++turn % changes.length]), every_ms);
  return () => clearInterval(timer);
}

/** Where the film jumps forward by more than `over_s`, its beginning and end included: [from, to] in seconds. */
function jumps({ frames, duration_s }, over_s) {
  const times_s = [0, ...frames.map(({ media_s }) => media_s), duration_s];
  return times_s.slice(1).flatMap((to_s, i) => (to_s - times_s[i] > over_s ? [[times_s[i], to_s]] : []));
}

function inWords(seen) {
  const { frames, dropped, exchanges } = seen;
  const waits_ms = frames.slice(1).map(({ at_ms }, i) => at_ms - frames[i].at_ms).filter((gap_ms) => gap_ms > STALL_MS);
  const stalled_s = waits_ms.reduce((sum, wait_ms) => sum + wait_ms, 0) / 1000;
  const soundAlone_s = jumps(seen, STALL_MS / 1000).reduce((sum, [from_s, to_s]) => sum + to_s - from_s, 0);
  const switches = frames.slice(1).filter(({ height }, i) => height !== frames[i].height).length;
  const count = (state) => exchanges.filter((exchange) => exchange.state === state).length;
  return [
    `first frame ${Math.round(frames[0].at_ms)} ms`,
    `${waits_ms.length} waits, ${stalled_s.toFixed(1)} s`,
    `sound alone ${soundAlone_s.toFixed(1)} s`,
    `${switches} switches: ${shares(frames)}`,
    `${dropped} frames dropped`,
    `${exchanges.length} segment requests, ${count('aborted')} given up, ${count('cut')} cut`,
  ].join(' | ');
}

/** "360p 20 %, 720p 80 %" of the frames that were shown. */
function shares(frames) {
  const heights = [...new Set(frames.map(({ height }) => height))].sort((a, b) => a - b);
  return heights.map((height) => `${height}p ${Math.round((100 * frames.filter((frame) => frame.height === height).length) / frames.length)} %`).join(', ');
}
