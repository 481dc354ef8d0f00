// Ten minutes of film over a token of two minutes, which its site allows to be renewed: `npm run test:long`.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { launchBrowser } from './harness/browser.js';
import { SAMPLE, sampleStore } from './harness/headwater.js';
import { startNetwork } from './harness/network.js';
import { startProtected, watch } from './harness/protected.js';
import { inSeconds } from './harness/token.js';
import { segments, unsuccessful } from './harness/traffic.js';

const FILM_S = 620;
const PLAYED_S = 600;
const LASTS_S = 120;
const SIDE_BY_SIDE = 3;
const BUFFER_S = 20;
const PATIENCE_MS = 750_000;
const PROFILES = {
  cookie: 'renewal = "cookie"\nrenewal_s = 120',
  exchange: 'renewal = "exchange"\nrenewal_s = 3600',
};

const store = await sampleStore(FILM_S);

describe('renewal', { concurrency: SIDE_BY_SIDE }, () => {
  let origin, browser;
  before(async () => {
    origin = await startProtected(store, PROFILES);
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await origin?.stop();
  });

  for (const [player, profile, way] of [
    ['hls.js', 'cookie', 'path'],
    ['dash.js', 'cookie', 'cookie'],
    ['shaka-hls', 'exchange', 'path'],
  ]) {
    it(`carries ten minutes in ${player}, by ${profile}`, async (t) => {
      const network = await startNetwork(origin.url);
      const claims = { folder: `/${profile}/${SAMPLE}/`, expires: inSeconds(LASTS_S), renew_until: inSeconds(3600) };
      const viewer = await watch(browser, network.url, { player, profile, way, claims, buffer_s: BUFFER_S });
      try {
        const { problems } = await viewer.until('ten minutes', ({ time_s }) => time_s > PLAYED_S, PATIENCE_MS);
        assert.deepEqual(problems.filter(({ fatal }) => fatal), []);
        assert.deepEqual(unsuccessful(network.log, [302]), []);
        const late = segments(network.log).filter(({ start_ms }) => start_ms > LASTS_S * 1000).length;
        t.diagnostic(`measured: ${player} played ${PLAYED_S} s over a token of ${LASTS_S} s; ${late} segments came after its expiry`);
        assert.ok(late > 100, `${late} segments after the expiry`);
      } finally {
        await viewer.close();
        await network.close();
      }
    });
  }
});
