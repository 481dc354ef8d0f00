// Every player, end to end: the encoder's title, the origin, a network, Chromium.
//
// The sample's pictures carry their frame number, so "plays" means: the right frame at the right time.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { FPS, SAMPLE, SAMPLE_S, sampleStore, startOrigin } from './harness/headwater.js';
import { HOME, PERFECT, startNetwork } from './harness/network.js';
import { lost, missing, segments, unsuccessful } from './harness/traffic.js';

const SIDE_BY_SIDE = 2; // pages at a time: one for each of two cores
const BUFFER_S = 12;
const SEGMENT_S = 6;
const SWITCH_BUFFER_S = 6;
/** Chromium's own HLS wants more than a wide line to trust it again soon: 40 s on HOME, 5 s on this. */
const WIDE = { 'native-hls': PERFECT };
const PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js', 'native-hls'];
const wanted = process.env.HEADWATER_TEST_PLAYERS?.split(',') ?? PLAYERS; // one player by itself, while looking for a fault

const store = await sampleStore();
let origin, browser;

describe('players', { concurrency: SIDE_BY_SIDE }, () => {
  before(async () => {
    origin = await startOrigin(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const player of wanted) {
    describe(player, { concurrency: 1 }, () => {
      watching(player);
      switching(player);
    });
  }
});

/** From the first frame to the last on a perfect network, with two seeks between. */
function watching(player) {
  let network, viewer;
  before(async () => {
    network = await startNetwork(origin.url);
    viewer = await openPlayer(browser, { base: network.url, title: SAMPLE, player, profile: 'clear', buffer_s: BUFFER_S });
  });
  after(async () => {
    await viewer?.close();
    await network?.close();
  });

  it('plays from the first frame on', async () => {
    const { duration_s } = await viewer.until('start', ({ time_s }) => time_s > 2, 20_000);
    const [first] = await viewer.frames();
    assert.ok(first.number !== null && first.number <= 2, `first frame shown is ${first.number}`);
    assert.ok(Math.abs(duration_s - SAMPLE_S) < 0.1, `duration ${duration_s} s`);
  });

  it('asks for nothing far ahead', () => {
    // Shaka looks for captions in the middle and last segment unless the playlist says CLOSED-CAPTIONS=NONE.
    const furthest = Math.max(...segments(network.log).map(({ number }) => number));
    assert.ok(furthest <= Math.ceil((2 + BUFFER_S) / SEGMENT_S) + 2, `segment ${furthest} was asked for in the first seconds`);
  });

  it('seeks forward and back to the frame asked for', async () => {
    for (const to_s of [75.3, 20.7]) {
      const { number } = await viewer.seek(to_s);
      const wanted = Math.floor(to_s * FPS);
      assert.ok(number !== null && Math.abs(number - wanted) <= 2, `after the seek to ${to_s} s frame ${number} is shown, wanted ${wanted}`);
    }
  });

  it('plays to the end', async () => {
    await viewer.seek(SAMPLE_S - 8);
    await viewer.speed(2);
    const { time_s } = await viewer.until('end', ({ ended }) => ended, 20_000);
    const last = (await viewer.frames()).at(-1);
    assert.ok(Math.abs(time_s - SAMPLE_S) < 0.1, `ended at ${time_s} s`);
    assert.ok(last.number >= SAMPLE_S * FPS - 4, `last frame shown is ${last.number}`);
  });

  it('showed each frame in its time', async () => {
    const frames = await viewer.frames();
    assert.ok(frames.length > 30, `only ${frames.length} frames were shown`);
    assertInTime(frames);
  });

  it('met no error and lost no request', async () => {
    const { problems, error } = await viewer.state();
    assert.deepEqual({ problems, error, scripts: viewer.scriptErrors }, { problems: [], error: null, scripts: [] });
    assert.deepEqual(unsuccessful(network.log), []);
    assert.ok(segments(network.log).length > 8, 'hardly a segment was asked for');
  });
}

/** A line that becomes too narrow for all but the lowest rung, and wide again. */
function switching(player) {
  it('switches renditions down and up', async (t) => {
    const network = await startNetwork(origin.url);
    const rungs = await ladder(origin.url);
    const viewer = await openPlayer(browser, { base: network.url, title: SAMPLE, player, profile: 'short', buffer_s: SWITCH_BUFFER_S });
    try {
      assert.equal(rungs.length, 3, 'rungs in the multivariant playlist');
      const [lowest, second] = rungs;
      const highest = rungs.at(-1);
      const narrow_bps = Math.sqrt(lowest.bandwidth_bps * second.bandwidth_bps);
      const seen = (height) => (state) => state.height === height;

      const wide = WIDE[player] ?? HOME;
      network.set(wide);
      await viewer.until('the highest rung on a wide line', seen(highest.height), 40_000);
      network.set({ rate_bps: narrow_bps });
      const wide_s = (await viewer.state()).time_s;
      await viewer.until('the lowest rung on a narrow line', seen(lowest.height), 60_000);
      network.set(wide);
      const narrow_s = (await viewer.state()).time_s;
      const { time_s, problems, dropped } = await viewer.until('the highest rung again', seen(highest.height), 75_000);
      t.diagnostic(`${player}: down ${(narrow_s - wide_s).toFixed(1)} s after the line narrowed, up ${(time_s - narrow_s).toFixed(1)} s after it widened, ${dropped} frames dropped`);

      assert.deepEqual(problems.filter(({ fatal }) => fatal), []);
      assert.deepEqual(unsuccessful(network.log), []);
      assert.deepEqual(lost(network.log), [], 'segments aborted and never asked for again');
      for (const kind of ['v', 'a']) assert.deepEqual(missing(network.log, kind, Math.floor(time_s / 2)), [], `${kind}: holes`);
      assertInTime(await viewer.frames());
    } finally {
      await viewer.close();
      await network.close();
    }
  });
}

/** A frame's bar code and its time in the stream say the same. */
function assertInTime(frames) {
  const unread = frames.filter(({ number }) => number === null);
  assert.ok(unread.length <= frames.length / 100, `${unread.length} of ${frames.length} bar codes could not be read`);
  const wrong = frames.filter(({ number, media_s }) => number !== null && number !== Math.round(media_s * FPS));
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${frames.length} frames at a wrong time`);
}

/** The rungs as the multivariant playlist tells them, lowest first. */
async function ladder(base) {
  const text = await (await fetch(`${base}/clear/${SAMPLE}/master.m3u8`)).text();
  const rungs = [...text.matchAll(/#EXT-X-STREAM-INF:.*?(?<!-)BANDWIDTH=(\d+).*?RESOLUTION=\d+x(\d+)/g)];
  return rungs
    .map(([, bandwidth, height]) => ({ bandwidth_bps: Number(bandwidth), height: Number(height) }))
    .sort((a, b) => a.bandwidth_bps - b.bandwidth_bps);
}
