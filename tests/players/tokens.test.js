// A protected title: every player by every way a token may come, with seeks and renditions; what an expired token
// stops, and what a renewed one carries on.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { launchBrowser } from './harness/browser.js';
import { FPS, SAMPLE, sampleStore } from './harness/headwater.js';
import { startNetwork } from './harness/network.js';
import { SEGMENT_S, startProtected, watch } from './harness/protected.js';
import { inSeconds, issue } from './harness/token.js';
import { segments, unsuccessful } from './harness/traffic.js';

const SIDE_BY_SIDE = 2;
const EVERY_WAY = ['path', 'cookie', 'inline', 'reference', 'exchange'];
/** video.js 8.24 never begins, and Chromium's own HLS refuses, where a playlist has EXT-X-DEFINE:QUERYPARAM. */
const WAYS = {
  'hls.js': EVERY_WAY,
  'dash.js': EVERY_WAY,
  'shaka-hls': EVERY_WAY,
  'shaka-dash': ['path', 'reference', 'exchange'],
  'video.js': ['path', 'inline', 'exchange'],
  'native-hls': ['path', 'inline', 'exchange'],
};
const FOLDER = (profile) => `/${profile}/${SAMPLE}/`;
const SEEKS_S = [75.3, 20.7];
const NEAR_FRAMES = 2;
const LASTS_S = 6;
const BUFFER_S = 4;
/** Pages, decoders and time-outs on a busy machine. */
const SLACK_S = 4;
const STILL_MS = 3_000;
const RENDITION_MS = 20_000;

const store = await sampleStore();

describe('tokens', { concurrency: SIDE_BY_SIDE }, () => {
  let origin, browser;
  before(async () => {
    origin = await startProtected(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const [player, ways] of Object.entries(WAYS)) {
    for (const way of ways) {
      it(`${player} plays and seeks with a token by ${way}`, async () => {
        const network = await startNetwork(origin.url);
        const profile = ['inline', 'reference'].includes(way) ? way : 'paid';
        const claims = { expires: inSeconds(600) };
        const viewer = await watch(browser, network.url, { player, profile, way, claims: { ...claims, folder: FOLDER(profile) } });
        try {
          await viewer.until('start', ({ time_s }) => time_s > 0.5, 20_000);
          for (const to_s of way === 'path' ? SEEKS_S : SEEKS_S.slice(0, 1)) {
            const frame = await viewer.seek(to_s);
            assert.ok(Math.abs(frame.number - Math.floor(to_s * FPS)) <= NEAR_FRAMES, `frame ${frame.number} after the seek to ${to_s} s`);
          }
          await otherRendition(viewer, network.log);
          const { problems, error } = await viewer.state();
          assert.deepEqual({ fatal: problems.filter(({ fatal }) => fatal), error }, { fatal: [], error: null });
          assert.deepEqual(unsuccessful(network.log, way === 'exchange' ? [302] : []), []);
          if (way === 'exchange') assert.ok(network.log.some(({ status }) => status === 302), 'nothing was exchanged');
        } finally {
          await viewer.close();
          await network.close();
        }
      });
    }
  }

  for (const player of ['hls.js', 'dash.js', 'shaka-hls']) {
    it(`an expired token stops ${player}`, async (t) => {
      const network = await startNetwork(origin.url);
      const ends = inSeconds(LASTS_S);
      const claims = { folder: FOLDER('plain'), expires: ends };
      const viewer = await watch(browser, network.url, { player, profile: 'plain', way: 'path', claims, buffer_s: BUFFER_S });
      try {
        const refused = () => segments(network.log).find(({ status }) => status === 401);
        await viewer.until('a first frame', ({ time_s }) => time_s > 0, 20_000);
        while (!refused()) await sleep(50);
        const at = await viewer.state();
        const served = segments(network.log).filter(({ status, start_ms }) => status === 200 && start_ms > refused().start_ms);
        // What it has buffered is played, and then nothing more.
        const stopped_s = await stopped(viewer);
        const allowance_s = stopped_s - at.time_s;
        t.diagnostic(`measured: ${player} stopped ${allowance_s.toFixed(1)} s of film after its first refusal`);
        assert.ok(allowance_s <= BUFFER_S + SEGMENT_S + SLACK_S, `stopped ${allowance_s} s after the refusal`);
        assert.deepEqual(served, [], 'segments served after a refusal');
      } finally {
        await viewer.close();
        await network.close();
      }
    });
  }

  for (const [player, profile, way] of [
    ['hls.js', 'paid', 'path'],
    ['dash.js', 'paid', 'cookie'],
    ['shaka-hls', 'longer', 'path'],
  ]) {
    it(`${player} plays on over an expired token that is renewed, ${profile} by ${way}`, async () => {
      const network = await startNetwork(origin.url);
      const claims = { folder: FOLDER(profile), expires: inSeconds(LASTS_S), renew_until: inSeconds(120) };
      const viewer = await watch(browser, network.url, { player, profile, way, claims, buffer_s: BUFFER_S });
      try {
        await viewer.until('20 s of film', ({ time_s }) => time_s > 20, 40_000);
        const { problems } = await viewer.state();
        assert.deepEqual(problems.filter(({ fatal }) => fatal), []);
        assert.deepEqual(unsuccessful(network.log, [302]), []);
      } finally {
        await viewer.close();
        await network.close();
      }
    });
  }
});

/** Where a film stands once it does not move any more. */
async function stopped(viewer) {
  let { time_s } = await viewer.state();
  for (let still_ms = 0; still_ms < STILL_MS; still_ms += 250) {
    await sleep(250);
    const state = await viewer.state();
    if (state.time_s !== time_s) still_ms = 0;
    ({ time_s } = state);
  }
  return time_s;
}

/** Where a player lets one choose: another rendition is asked for and shown. */
async function otherRendition(viewer, log) {
  const tracks = () => new Set(segments(log).filter(({ kind }) => kind === 'v').map(({ track }) => track));
  const before = tracks();
  const picked = await viewer.page.evaluate(() => {
    const { session } = window.headwater;
    const other = session.rungs().find(({ id }) => id !== session.playing());
    if (!session.pick || !other) return false;
    session.pick(other.id);
    return true;
  });
  if (!picked) return;
  const deadline_ms = performance.now() + RENDITION_MS;
  while (tracks().size === before.size && before.size < 2 && performance.now() < deadline_ms) await sleep(50);
  assert.ok(tracks().size > 1, `one rendition alone was asked for: ${[...tracks()]}`);
}
