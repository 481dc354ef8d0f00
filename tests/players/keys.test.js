// Titles under keys: who has the key sees their pictures, in every player that can have one; who has none sees nothing
// and is told why. All players run with all refusals where HEADWATER_TEST_LONG is set.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { FPS, OTHER, SAMPLE, labelledStore } from './harness/headwater.js';
import { KEY_PERIOD_S, KEY_URL, TURNS, startGuarded, startOpen, withOtherKeys } from './harness/keys.js';
import { startNetwork } from './harness/network.js';
import { watch } from './harness/protected.js';
import { inSeconds, issue } from './harness/token.js';
import { unsuccessful } from './harness/traffic.js';

const SIDE_BY_SIDE = 2;
const SD = 240;
const BUFFER_S = 4;
const SEEK_S = 9.3;
/** A decoder may hold a picture that was not drawn yet. */
const NEAR_FRAMES = 3;
const LOOKS = 5;
const START_MS = 30_000;
/** The page, the manifest and the first request for a key fit in. */
const LASTS_S = 8;
const PLAYS = {
  'hls.js': ['cbcs', 'cenc', 'whole'],
  'dash.js': ['cbcs', 'cenc'],
  'shaka-hls': ['cbcs', 'cenc', 'whole'],
  'shaka-dash': ['cbcs', 'cenc'],
  'video.js': ['whole'],
};
const REFUSED = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash'];

/** What a viewer lacks, how that comes about, and what the page says. */
const REFUSALS = {
  'a wrong key': { prepare: (page) => withOtherKeys(page), says: /could not play what it was sent/ },
  'no key to the picture': { claims: { labels: 'AUDIO' }, says: /does not let you have it \(403\)/ },
  'an expired token': { claims: () => ({ expires: inSeconds(LASTS_S) }), prepare: late, says: /asks who you are \(401\)/ },
  "another title's key": { prepare: elsewhere, says: /has no such file \(404\)|could not play what it was sent/ },
};
const USUAL = [
  ['hls.js', 'a wrong key'],
  ['dash.js', 'an expired token'],
  ['shaka-hls', 'no key to the picture'],
  ['shaka-dash', "another title's key"],
];
const everything = process.env.HEADWATER_TEST_LONG ? REFUSED.flatMap((player) => Object.keys(REFUSALS).map((what) => [player, what])) : USUAL;
/** Under the other schemes, in the player that plays them all. */
const elsewise = process.env.HEADWATER_TEST_LONG
  ? ['cenc', 'whole'].flatMap((profile) => Object.keys(REFUSALS).map((what) => [profile, what]))
  : [['whole', 'a wrong key']];

const store = await labelledStore();

describe('keys', { concurrency: SIDE_BY_SIDE }, () => {
  let open, guarded, browser;
  before(async () => {
    open = await startOpen(store);
    guarded = await startGuarded(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await open?.stop();
    await guarded?.stop();
  });

  for (const [player, schemes] of Object.entries(PLAYS)) {
    for (const scheme of schemes) {
      it(`${player} plays ${scheme}, and the rendition of another key`, async () => {
        const network = await startNetwork(open.url);
        const viewer = await openPlayer(browser, { base: network.url, title: SAMPLE, player, profile: scheme, buffer_s: BUFFER_S });
        try {
          await viewer.until('start', ({ time_s, height }) => time_s > 0.5 && height > 0, START_MS);
          await shows(viewer);
          const { height: begun } = await viewer.state();
          await viewer.page.evaluate((begun) => {
            const { session, video } = window.headwater;
            session.pick(session.rungs().find(({ height }) => height !== begun).id);
            void video.play();
          }, begun);
          await viewer.until('the other rendition', ({ height }) => height !== begun, START_MS);
          await viewer.seek(SEEK_S);
          await shows(viewer);
          const { problems, error } = await viewer.state();
          assert.deepEqual({ fatal: problems.filter(({ fatal }) => fatal), error }, { fatal: [], error: null });
          assert.deepEqual(unsuccessful(network.log), []);
          assert.ok(network.log.some(({ path }) => KEY_URL.test(path)), 'no key was asked for');
        } finally {
          await viewer.close();
          await network.close();
        }
      });
    }
  }

  for (const [player, schemes] of Object.entries(PLAYS)) {
    for (const scheme of schemes) {
      it(`${player} plays ${scheme} over a change of keys`, async () => {
        const network = await startNetwork(open.url);
        const profile = `${scheme}${TURNS}`;
        const viewer = await openPlayer(browser, { base: network.url, title: SAMPLE, player, profile, buffer_s: BUFFER_S });
        try {
          await viewer.until('start', ({ time_s, height }) => time_s > 0.5 && height > 0, START_MS);
          await viewer.until('the second period', ({ time_s }) => time_s > KEY_PERIOD_S + 0.5, START_MS);
          await shows(viewer);
          // Into the third, and back to where the first key is needed again.
          await leap(viewer, SEEK_S);
          await shows(viewer);
          await leap(viewer, 1.3);
          await shows(viewer);
          const { problems, error } = await viewer.state();
          assert.deepEqual({ fatal: problems.filter(({ fatal }) => fatal), error }, { fatal: [], error: null });
          assert.deepEqual(unsuccessful(network.log), []);
          const inits = new Set(network.log.map(({ path }) => /\/v\d+\/init\.(\d+)\.mp4/.exec(path)?.[1]));
          assert.ok(['0', '1', '2'].every((period) => inits.has(period)), `init segments of periods ${[...inits]}`);
          const asked = network.log.filter(({ path }) => KEY_URL.test(path));
          assert.ok(asked.length >= 3, `${asked.length} requests for keys of three periods`);
        } finally {
          await viewer.close();
          await network.close();
        }
      });
    }
  }

  /** A viewer of the profile that wants tokens. */
  async function visit(player, claims, prepare, look, profile = 'cbcs') {
    const network = await startNetwork(guarded.url);
    const said = { folder: `/${profile}/`, expires: inSeconds(600), ...(typeof claims === 'function' ? claims() : claims) };
    const lacking = { network, expires_ms: said.expires * 1000, elsewhere: await folderOf(OTHER, profile) };
    const viewer = await watch(browser, network.url, { player, profile, way: 'path', claims: said, prepare: (page) => prepare?.(page, lacking) });
    try {
      await look(viewer, network);
    } finally {
      await viewer.close();
      await network.close();
    }
  }

  /** Path of a title's live version, without a token. */
  async function folderOf(title, profile) {
    const token = issue({ folder: `/${profile}/`, expires: inSeconds(600) });
    const answer = await fetch(`${guarded.url}/~${token}/${profile}/${title}/master.m3u8`);
    const [, version] = /^(\S+)\/v\d+\/index/m.exec(await answer.text());
    return `/${profile}/${title}/${version}/`;
  }

  for (const [player, what] of everything) {
    it(`${player} shows nothing with ${what}, and says why`, async () => {
      const { claims, prepare, says } = REFUSALS[what];
      await visit(player, claims, prepare, async (viewer) => {
        assert.match(await viewer.refusal(START_MS), says);
        assert.deepEqual(await viewer.frames(), [], 'pictures without a key');
      });
    });
  }

  for (const [profile, what] of elsewise) {
    it(`hls.js shows nothing of ${profile} with ${what}, and says why`, async () => {
      const { claims, prepare, says } = REFUSALS[what];
      const look = async (viewer) => {
        assert.match(await viewer.refusal(START_MS), says);
        assert.deepEqual(await viewer.frames(), [], 'pictures without a key');
      };
      await visit('hls.js', claims, prepare, look, profile);
    });
  }

  for (const player of process.env.HEADWATER_TEST_LONG ? REFUSED : ['shaka-dash', 'hls.js']) {
    it(`${player} shows no HD to a token for SD`, async () => {
      await visit(player, { labels: 'AUDIO,SD' }, null, async (viewer, network) => {
        const refused = () => network.log.find(({ path, status }) => KEY_URL.test(path) && status === 403);
        const deadline_ms = performance.now() + START_MS;
        while (!refused() && performance.now() < deadline_ms) await sleep(50);
        assert.ok(refused(), 'the key to HD was never asked for');
        // Shaka's DASH goes on with SD; the others give up.
        if (player === 'shaka-dash') await viewer.until('SD', ({ time_s }) => time_s > 1, START_MS);
        else assert.match(await viewer.refusal(START_MS), /does not let you have it \(403\)/);
        const heights = new Set((await viewer.frames()).map(({ height }) => height));
        heights.delete(SD);
        assert.deepEqual([...heights], [], 'pictures without a key');
      });
    });
  }

  for (const player of ['dash.js', 'shaka-dash']) {
    it(`${player} says that nobody hands out the key`, async () => {
      const network = await startNetwork(guarded.url);
      const claims = { folder: '/kept/', expires: inSeconds(600) };
      const viewer = await watch(browser, network.url, { player, profile: 'kept', way: 'path', claims });
      try {
        assert.match(await viewer.refusal(START_MS), /has no key/);
        assert.deepEqual(await viewer.frames(), [], 'pictures without a key');
      } finally {
        await viewer.close();
        await network.close();
      }
    });
  }
});

/** The picture on the screen is the one of its time. A busy machine draws late: it is looked at more than once. */
async function shows(viewer) {
  for (let left = LOOKS; ; left--) {
    const { time_s, number } = await viewer.look();
    const wanted = Math.floor(time_s * FPS);
    if (number !== null && Math.abs(number - wanted) <= NEAR_FRAMES) return;
    assert.ok(left > 1, `frame ${number} on the screen at ${time_s} s, wanted ${wanted}`);
    await viewer.page.evaluate(() => window.headwater.video.play());
    await viewer.until('playing on after a look', (state) => state.time_s > time_s + 0.2, START_MS);
  }
}

/**
 * Seeks while it plays. Paused, dash.js loses a seek into another Period now and then: it shows nothing, and plays on
 * from where it was.
 */
async function leap(viewer, to_s) {
  await viewer.page.evaluate(async (target_s) => {
    const { video } = window.headwater;
    await video.play();
    video.currentTime = target_s;
  }, to_s);
  const isThere = ({ seeking, time_s }) => !seeking && time_s > to_s + 0.3 && time_s < to_s + 5;
  await viewer.until(`playing on after the seek to ${to_s} s`, isThere, START_MS);
}

/** Keys are asked for when the token is over. */
async function late(page, { expires_ms }) {
  await page.route(KEY_URL, async (route) => {
    await sleep(Math.max(0, expires_ms - Date.now()));
    await route.continue();
  });
}

/** Keys are asked for at another title, by a token that is good for it. */
async function elsewhere(page, { elsewhere: folder }) {
  await page.route(KEY_URL, (route) => {
    const url = new URL(route.request().url());
    const [, token, of] = /^(\/~[^/]+)\/[^/]+\/[^/]+\/[^/]+\/(.*)$/.exec(url.pathname);
    return route.continue({ url: new URL(`${token}${folder}${of}`, url).href });
  });
}
