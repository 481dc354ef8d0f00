// Chromium without a window, and the origin's page in it with one player.

import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium } from 'playwright-core';

import { observe } from './barcode.js';

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const POLL_MS = 50;
const SEEK_MS = 45_000; // Shaka leaves a rendition that failed once alone for 30 s
const STILL_MS = 10_000;
const SEEK_NEAR_S = 2; // what stands there before the seek is farther away

export async function launchBrowser() {
  const wanted = process.env.HEADWATER_TEST_CHROMIUM;
  const executablePath = wanted ?? CANDIDATES.find(existsSync);
  if (!executablePath) throw new Error('no Chromium found: install it (Debian: chromium) or set HEADWATER_TEST_CHROMIUM');
  return chromium.launch({
    executablePath,
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      '--mute-audio',
    ],
  });
}

/**
 * Opens the page's link to a title.
 * @param {import('playwright-core').Browser} browser
 * @param {{base: string, title: string, player: string, profile: string, buffer_s?: number,
 *   manifests?: {hls: string, dash: string}, cookie?: {name: string, value: string},
 *   prepare?: (page: import('playwright-core').Page) => Promise<void>}} what with `manifests` the page is given these
 *   URLs for the title, which the origin itself does not list; `prepare` comes before the page is opened
 */
export async function openPlayer(browser, { base, title, player, profile, buffer_s, manifests, cookie, prepare }) {
  const context = await browser.newContext({ viewport: { width: 1240, height: 1000 } });
  if (cookie) await context.addCookies([{ ...cookie, url: base }]);
  const page = await context.newPage();
  if (manifests) {
    const json = [{ id: title, duration_ms: 0, profiles: { [profile]: manifests } }];
    await page.route('**/titles.json', (route) => route.fulfill({ json }));
  }
  await prepare?.(page);
  const scriptErrors = [];
  page.on('pageerror', (error) => scriptErrors.push(error.message));
  await page.addInitScript(observe);
  const query = new URLSearchParams({ title, player, profile, ...(buffer_s ? { buffer: buffer_s } : {}) });
  await page.goto(`${base}/?${query}`);
  return new Viewer(page, scriptErrors);
}

/** What a test does with a page that plays, and what it sees. */
export class Viewer {
  constructor(page, scriptErrors) {
    this.page = page;
    this.scriptErrors = scriptErrors;
  }

  /** @returns {Promise<{time_s: number, duration_s: number, height: number, ended: boolean, seeking: boolean, frame: import('./barcode.js').Frame | null, ahead_s: number, dropped: number, problems: object[], error: string | null, rungs: object[]}>} */
  state() {
    return this.page.evaluate(() => {
      const { video, session, problems } = window.headwater;
      const ranges = video?.buffered ?? { length: 0 };
      let ahead_s = 0;
      for (let i = 0; i < ranges.length; i++) {
        if (ranges.start(i) <= video.currentTime + 0.1 && video.currentTime < ranges.end(i)) ahead_s = ranges.end(i) - video.currentTime;
      }
      return {
        time_s: video?.currentTime ?? 0,
        duration_s: video?.duration ?? NaN,
        height: video?.videoHeight ?? 0,
        ended: video?.ended ?? false,
        seeking: video?.seeking ?? false,
        frame: window.frames_seen.at(-1) ?? null,
        ahead_s,
        dropped: video?.getVideoPlaybackQuality().droppedVideoFrames ?? 0,
        problems,
        error: video?.error?.message ?? null,
        rungs: session?.rungs() ?? [],
      };
    });
  }

  /** Waits until a state pleases; a fatal problem or a deadline ends the wait with the last state. */
  async until(what, pleases, within_ms) {
    const deadline_ms = performance.now() + within_ms;
    let state = await this.state();
    while (!pleases(state)) {
      const fatal = state.problems.find((problem) => problem.fatal);
      if (fatal) throw new Error(`${what}: the player gave up: ${JSON.stringify(fatal)}`);
      if (performance.now() > deadline_ms) throw new Error(`${what}: not within ${within_ms} ms: ${JSON.stringify(state)}`);
      await sleep(POLL_MS);
      state = await this.state();
    }
    return state;
  }

  /** @returns {Promise<import('./barcode.js').Frame[]>} frames presented since `from`, an index into all of them */
  frames(from = 0) {
    return this.page.evaluate((start) => window.frames_seen.slice(start), from);
  }

  /** Pauses, and reads the number of the frame that stands on the screen: encrypted video too. */
  async look() {
    const time_s = await this.page.evaluate(() => {
      const { video } = window.headwater;
      video.pause();
      return video.currentTime;
    });
    const png = await this.page.locator('video').screenshot();
    const number = await this.page.evaluate(async (url) => {
      const image = Object.assign(new Image(), { src: url });
      await image.decode();
      // The picture stands in the middle of its element, with black beside it.
      const { videoWidth, videoHeight } = window.headwater.video;
      const scale = Math.min(image.width / videoWidth, image.height / videoHeight);
      const [width, height] = [videoWidth * scale, videoHeight * scale];
      const picture = await createImageBitmap(image, (image.width - width) / 2, (image.height - height) / 2, width, height);
      return window.strip_of(picture, picture.width, picture.height);
    }, `data:image/png;base64,${png.toString('base64')}`);
    return { time_s, number };
  }

  /** Waits for what ends playback, answers the page's words for it. */
  async refusal(within_ms) {
    const problem = this.page.locator('#problem');
    await problem.waitFor({ state: 'visible', timeout: within_ms });
    return problem.textContent();
  }

  /** Seeks while paused, answers the frame that then stands there, and plays on. */
  async seek(to_s) {
    await this.page.evaluate((target_s) => {
      const { video } = window.headwater;
      video.pause();
      video.currentTime = target_s;
    }, to_s);
    const near = ({ frame }) => frame !== null && Math.abs(frame.media_s - to_s) < SEEK_NEAR_S;
    const play = () => this.page.evaluate(() => void window.headwater.video.play());
    // A busy Chromium may keep the picture of a paused video to itself; of one that plays on it tells.
    const nudge = setTimeout(() => play().catch(() => {}), STILL_MS);
    const shown = this.until(`a frame after the seek to ${to_s} s`, (state) => !state.seeking && near(state), SEEK_MS);
    const { frame } = await shown.finally(() => clearTimeout(nudge));
    await play();
    await this.until(`playing on after the seek to ${to_s} s`, ({ time_s }) => time_s > to_s + 0.3, SEEK_MS);
    return frame;
  }

  speed(rate) {
    return this.page.evaluate((value) => {
      window.headwater.video.playbackRate = value;
    }, rate);
  }

  close() {
    return this.page.context().close();
  }
}
