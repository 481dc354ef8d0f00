// AV1 and Opus in every player that takes them: the right picture at the right time, beeps on their second although Opus
// starts with 312 samples of its encoder's delay, a seek, and the end.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { beeps, listen } from './harness/clicks.js';
import { av1Store, CODEC_S, FPS, SAMPLE, startOrigin } from './harness/headwater.js';

const PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js', 'native-hls'];
const wanted = process.env.HEADWATER_TEST_PLAYERS?.split(',') ?? PLAYERS;
const SLACK_S = 0.005; // a frame of Opus lasts 20 ms, the delay 6.5 ms
const SEEK_S = 9.3;

let origin, browser;

describe('AV1 and Opus', { concurrency: 1 }, () => {
  before(async () => {
    origin = await startOrigin(await av1Store());
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const player of wanted) {
    it(`${player}: every picture in its time, beeps on the second, a seek, the end`, async (t) => {
      const viewer = await openPlayer(browser, { base: origin.url, title: SAMPLE, player, profile: 'short', buffer_s: 12 });
      try {
        await viewer.page.waitForFunction(() => window.headwater?.video);
        await viewer.page.evaluate(listen);
        await viewer.until('4 s', ({ time_s }) => time_s > 4, 30_000);
        const { number } = await viewer.seek(SEEK_S);
        const sought = Math.floor(SEEK_S * FPS);
        assert.ok(number !== null && Math.abs(number - sought) <= 2, `after the seek frame ${number} is shown, wanted ${sought}`);
        await viewer.until('end', ({ ended }) => ended, 40_000);
        const heard_s = await viewer.page.evaluate(beeps);
        const whole_s = heard_s.filter((at_s) => at_s > 0.5 && Math.abs(at_s - SEEK_S) > 0.2);
        t.diagnostic(`${player}: ${whole_s.map((at_s) => at_s.toFixed(4)).join(' ')}`);
        assert.ok(whole_s.filter((at_s) => at_s < 5).length >= 2, `beeps from the start: ${heard_s}`);
        assert.ok(whole_s.filter((at_s) => at_s > SEEK_S).length >= 4, `beeps behind the seek: ${heard_s}`);
        const wrong = whole_s.filter((at_s) => Math.abs(at_s - Math.round(at_s)) > SLACK_S);
        assert.deepEqual(wrong, [], 'beeps off their second');
        const frames = (await viewer.frames()).filter(({ number }) => number !== null);
        const late_s = frames.map(({ number, media_s }) => media_s - number / FPS).sort((a, b) => a - b);
        const middle_s = late_s[Math.floor(late_s.length / 2)];
        assert.ok(Math.abs(middle_s) <= SLACK_S, `pictures stand ${middle_s} s beside their time`);
        const last = frames.at(-1).number;
        assert.ok(last >= CODEC_S * FPS - 4, `the last frame shown is ${last}`);
      } finally {
        await viewer.close();
      }
    });
  }
});
