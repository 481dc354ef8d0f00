// The origin's page: what a visitor sees, chooses and is told. Pictures of it are left in tests/out/players/.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { launchBrowser, openPlayer } from './harness/browser.js';
import { OUT, SAMPLE, sampleStore, startOrigin } from './harness/headwater.js';
import { HOME, startNetwork } from './harness/network.js';

const FIRST_VISIT_MAX_BYTES = 30_000; // the page without titles.json
const MSE_PLAYERS = ['hls.js', 'dash.js', 'shaka-hls', 'shaka-dash', 'video.js'];
const PLAYERS = [...MSE_PLAYERS, 'native-hls'];
const LOWEST = 240;

const store = await sampleStore();

describe('page', { concurrency: 2 }, () => {
  let origin, browser;
  before(async () => {
    origin = await startOrigin(store);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  /** A network of its own for each page: its log holds this page's requests only. */
  async function visit(options, look) {
    const network = await startNetwork(origin.url);
    const context = await browser.newContext(options);
    const page = await context.newPage();
    try {
      await look(page, network);
    } finally {
      await context.close();
      await network.close();
    }
  }

  async function watch(player, profile, look) {
    const network = await startNetwork(origin.url);
    const viewer = await openPlayer(browser, { base: network.url, title: SAMPLE, player, profile, buffer_s: 6 });
    try {
      await look(viewer, network);
    } finally {
      await viewer.close();
      await network.close();
    }
  }

  it('lists the titles, and is small', async () => {
    await visit({ viewport: { width: 1240, height: 1000 } }, async (page, network) => {
      await page.goto(network.url);
      await page.getByRole('radio', { name: new RegExp(`^${SAMPLE} 2:00`) }).waitFor();
      await page.screenshot({ path: join(OUT, 'page-first.png') });
      const bytes = network.log.filter(({ path }) => path !== '/titles.json').reduce((sum, { body_bytes }) => sum + body_bytes, 0);
      assert.ok(bytes < FIRST_VISIT_MAX_BYTES, `a first visit takes ${bytes} bytes`);
      assert.deepEqual(network.log.filter(({ status }) => status !== 200), []);
    });
  });

  it('asks no other server, and keeps for ever only what cannot change', async () => {
    await watch('hls.js', 'clear', async (viewer, network) => {
      const { page } = viewer;
      await viewer.until('start', ({ time_s }) => time_s > 0.5, 20_000);
      const hosts = await page.evaluate(() => [...new Set(performance.getEntriesByType('resource').map(({ name }) => new URL(name).host))]);
      assert.deepEqual(hosts, [new URL(network.url).host]);
      const lifetime = (pattern) => network.log.find(({ path }) => pattern.test(path)).headers['cache-control'];
      assert.match(lifetime(/^\/assets\/hls-[A-Z0-9]+\.js$/), /immutable/);
      assert.doesNotMatch(lifetime(/^\/$/) ?? '', /immutable|max-age=[1-9]\d{2}/);
    });
  });

  it('plays a title with a click', async () => {
    await visit({}, async (page, network) => {
      await page.goto(network.url);
      await page.getByRole('radio', { name: new RegExp(`^${SAMPLE}`) }).check({ force: true });
      await page.waitForFunction(() => window.headwater.video?.currentTime > 0.5, null, { timeout: 20_000 });
      assert.equal(new URL(page.url()).searchParams.get('title'), SAMPLE);
    });
  });

  it('changes the player from the keyboard, again and again', async () => {
    await watch('hls.js', 'clear', async (viewer) => {
      await viewer.until('start', ({ time_s }) => time_s > 0.5, 20_000);
      const { page } = viewer;
      await page.getByRole('radio', { name: 'hls.js' }).focus();
      for (const player of ['dash.js', 'shaka-hls']) {
        await page.keyboard.press('ArrowRight');
        await page.waitForURL((url) => url.searchParams.get('player') === player);
        await viewer.until(`start of ${player}`, ({ time_s }) => time_s > 0.5, 20_000);
      }
      assert.deepEqual(viewer.scriptErrors, []);
    });
  });

  for (const player of PLAYERS) {
    it(`plays a link with ${player}, and shows what it does`, async () => {
      await watch(player, 'clear', async (viewer, network) => {
        const { page } = viewer;
        await viewer.until('start', ({ time_s }) => time_s > 3, 20_000);
        assert.match(await page.locator('#picture').textContent(), /^\d+ × (240|360|480)$/);
        assert.match(await page.locator('#buffer').textContent(), /^\d+\.\d s$/);
        assert.match(await page.locator('#dropped').textContent(), /^\d+ of [1-9]\d*$/);
        const rungs = await page.locator('#rungs label').count();
        const rows = await page.locator('#requests tr').allTextContents();
        if (player === 'native-hls') {
          assert.ok(await page.locator('#requests-note').isVisible());
          assert.equal(rungs, 0);
        } else {
          assert.equal(rungs, 4, 'three rungs and Auto');
          assert.match(await page.locator('#throughput').textContent(), /bit\/s$/);
          assert.ok(rows.some((row) => /v\d+\/1\.m4s200[\d,]{5,}\d+.*(immutable|browser cache)/.test(row)), `no video segment among\n${rows.join('\n')}`);
        }
        await page.screenshot({ path: join(OUT, `page-${player}.png`) });
      });
    });
  }

  for (const player of MSE_PLAYERS) {
    it(`stays on the rendition one picks, with ${player}`, async () => {
      await watch(player, 'short', async (viewer, network) => {
        const { page } = viewer;
        network.set(HOME);
        await viewer.until('start above the lowest rung', ({ height }) => height > LOWEST, 40_000);
        await page.getByRole('radio', { name: /^240p/ }).focus();
        await page.keyboard.press('Space');
        await viewer.until('the picked rung', ({ height }) => height === LOWEST, 20_000);
        await page.getByRole('radio', { name: 'Auto' }).focus();
        await page.keyboard.press('Space');
        await viewer.until('a higher rung again', ({ height }) => height > LOWEST, 40_000);
      });
    });
  }

  for (const player of PLAYERS) {
    it(`says in words that the server refuses, with ${player}`, async () => {
      await visit({}, async (page, network) => {
        network.refuse((path) => (/\.(m3u8|mpd)$/.test(path) ? 503 : null));
        await page.goto(`${network.url}/?title=${SAMPLE}&player=${player}&profile=clear`);
        const alert = page.getByRole('alert');
        await alert.waitFor({ timeout: 20_000 });
        const wanted = player === 'native-hls' ? /^(The|This) .+\. \(.+\)$/ : /^The server is too busy or cannot reach its store \(503\)\./;
        assert.match(await alert.textContent(), wanted);
      });
    });
  }

  it('says what is wrong with a link', async () => {
    const table = [
      ['title=nothing', 'There is no title “nothing” here.'],
      [`title=${SAMPLE}&player=quicktime`, 'There is no player “quicktime”.'],
    ];
    for (const [query, wanted] of table) {
      await visit({}, async (page, network) => {
        await page.goto(`${network.url}/?${query}`);
        const text = await page.getByRole('alert').textContent({ timeout: 5000 });
        assert.ok(text.startsWith(wanted), text);
      });
    }
  });

  it('can be read in the dark and on a telephone', async () => {
    await visit({ colorScheme: 'dark', viewport: { width: 390, height: 844 } }, async (page, network) => {
      await page.goto(`${network.url}/?title=${SAMPLE}`);
      await page.waitForFunction(() => window.headwater.video?.currentTime > 2, null, { timeout: 20_000 });
      await page.screenshot({ path: join(OUT, 'page-telephone.png'), fullPage: true });
      const [content_px, screen_px] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content_px <= screen_px, `${content_px} px wide on a screen of ${screen_px}`);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(ground, 'rgb(16, 24, 26)');
    });
  });

  it('hands out the licences of its players', async () => {
    const text = await (await fetch(`${origin.url}/LICENSES.txt`)).text();
    for (const name of ['hls.js', 'dashjs', 'shaka-player', 'video.js', 'mux.js']) {
      assert.match(text, new RegExp(`^==== ${name.replace('.', '\\.')} \\d`, 'm'));
    }
  });
});
