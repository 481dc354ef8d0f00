// Rule 17 in every player: sound and picture stand at the same time, to a quarter of a frame of sound. The sample beeps
// on each second and its pictures carry their number, so each is measured by itself against the stream's clock.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { beeps, listen } from './harness/clicks.js';
import { FPS, SAMPLE, sampleStore, startOrigin } from './harness/headwater.js';

const PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js', 'native-hls'];
const wanted = process.env.HEADWATER_TEST_PLAYERS?.split(',') ?? PLAYERS;
const SLACK_S = 0.005; // a frame of AAC lasts 21.3 ms
const BUFFER_S = 12;
const SEEK_S = 75.3;

const store = await sampleStore();
let origin, browser;

describe('sound', { concurrency: 1 }, () => {
  before(async () => {
    origin = await startOrigin(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const player of wanted) {
    it(`${player}: beeps on the second, pictures in their time, from the start and after a seek`, async (t) => {
      const viewer = await openPlayer(browser, { base: origin.url, title: SAMPLE, player, profile: 'short', buffer_s: BUFFER_S });
      try {
        await viewer.page.waitForFunction(() => window.headwater?.video);
        await viewer.page.evaluate(listen);
        await viewer.until('6 s', ({ time_s }) => time_s > 6, 30_000);
        await viewer.seek(SEEK_S);
        await viewer.until('4 s behind the seek', ({ time_s }) => time_s > SEEK_S + 4, 30_000);
        const heard_s = await viewer.page.evaluate(beeps);
        // What sounds at 0, and what stands when a seek ends, comes up slowly.
        const whole_s = heard_s.filter((at_s) => at_s > 0.5 && Math.abs(at_s - SEEK_S) > 0.2);
        t.diagnostic(`${player}: ${whole_s.map((at_s) => at_s.toFixed(4)).join(' ')}`);
        assert.ok(whole_s.filter((at_s) => at_s < 7).length >= 4, `beeps from the start: ${heard_s}`);
        assert.ok(whole_s.filter((at_s) => at_s > SEEK_S).length >= 3, `beeps behind the seek: ${heard_s}`);
        const wrong = whole_s.filter((at_s) => Math.abs(at_s - Math.round(at_s)) > SLACK_S);
        assert.deepEqual(wrong, [], 'beeps off their second');
        const frames = (await viewer.frames()).filter(({ number }) => number !== null);
        const late_s = frames.map(({ number, media_s }) => media_s - number / FPS).sort((a, b) => a - b);
        const middle_s = late_s[Math.floor(late_s.length / 2)];
        assert.ok(Math.abs(middle_s) <= SLACK_S, `pictures stand ${middle_s} s beside their time`);
      } finally {
        await viewer.close();
      }
    });
  }
});
