// An origin whose profiles want tokens, and a viewer who has one.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openPlayer } from './browser.js';
import { SAMPLE, startOrigin } from './headwater.js';
import { SECRET, issue } from './token.js';

export const SEGMENT_S = 2;
const OWN_SECRET = 'ab'.repeat(32);

/** What each profile does with tokens beyond wanting them. */
const PROFILES = {
  plain: '',
  paid: 'exchange = true\nrenewal = "cookie"\nrenewal_s = 10',
  longer: 'renewal = "exchange"\nrenewal_s = 3600',
  inline: 'propagate_query = "inline"',
  reference: 'propagate_query = "reference"',
};

/** @param {string} store a store's URL @param {Record<string, string>} profiles what they do with tokens, by name */
export async function startProtected(store, profiles = PROFILES) {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-tokens-'));
  const key = async (id, digits) => {
    const file = join(folder, id);
    await writeFile(file, digits);
    return `{ id = "${id}", secret = "file:${file}" }`;
  };
  const keys = [await key('k1', SECRET), await key('own', OWN_SECRET)];
  const tables = Object.entries(profiles).map(
    ([name, access]) =>
      `[profiles.${name}]\nsegment_ms = ${SEGMENT_S * 1000}\n[profiles.${name}.access]\nenforced_by = "origin"\n${access}\n`,
  );
  const tokens = `[origin.tokens]\nkeys = [${keys.join(', ')}]\nown_keys = ["own"]\nskew_s = 0\n`;
  const origin = await startOrigin(store, tokens + tables.join(''));
  return {
    url: origin.url,
    stop: async () => {
      await origin.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Opens a player with a token that comes by one of its ways.
 * @param {{player: string, profile: string, way: 'path' | 'cookie' | 'inline' | 'reference' | 'exchange', claims: object, buffer_s?: number,
 *   prepare?: (page: import('playwright-core').Page) => Promise<void>}} what
 */
export async function watch(browser, base, { player, profile, way, claims, buffer_s, prepare }) {
  const start = (file) => `/${profile}/${SAMPLE}/${file}`;
  const token = issue(claims);
  const urls = {
    path: (path) => `/~${token}${path}`,
    cookie: (path) => path,
    inline: (path) => `${path}?token=${token}`,
    reference: (path) => `${path}?token=${token}`,
    // For this one URL alone.
    exchange: (path) => `${path}?token=${issue({ url: path, expires: claims.expires })}`,
  };
  const manifests = { hls: urls[way](start('master.m3u8')), dash: urls[way](start('manifest.mpd')) };
  const cookie = way === 'cookie' ? { name: 'headwater-token', value: token } : undefined;
  return openPlayer(browser, { base, title: SAMPLE, player, profile, buffer_s, manifests, cookie, prepare });
}
