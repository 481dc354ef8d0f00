// The same title from a bucket: every player begins, seeks and ends with the right frames.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { FPS, SAMPLE, SAMPLE_S, sampleStore, startBucket, startOrigin } from './harness/headwater.js';

const SIDE_BY_SIDE = 2;
const PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js', 'native-hls'];
const SEEK_S = SAMPLE_S - 10;
const NEAR_FRAMES = 2;

const store = await sampleStore();

describe('a title in a bucket', { concurrency: SIDE_BY_SIDE }, () => {
  let bucket, origin, browser;
  before(async () => {
    bucket = await startBucket(store);
    origin = await startOrigin(bucket.reached);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
    bucket?.stop();
  });

  for (const player of PLAYERS) {
    it(`plays with ${player}`, async () => {
      const viewer = await openPlayer(browser, { base: origin.url, title: SAMPLE, player, profile: 'clear' });
      try {
        const { duration_s } = await viewer.until('start', ({ time_s }) => time_s > 2, 20_000);
        assert.ok(Math.abs(duration_s - SAMPLE_S) < 0.1, `duration ${duration_s} s`);
        const frame = await viewer.seek(SEEK_S);
        assert.ok(Math.abs(frame.number - SEEK_S * FPS) <= NEAR_FRAMES, `frame ${frame.number} after a seek to ${SEEK_S} s`);
        await viewer.until('end', ({ ended }) => ended, 60_000);
      } finally {
        await viewer.close();
      }
    });
  }
});
