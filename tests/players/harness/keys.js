// An origin whose profiles encrypt and hand keys out: to everybody, or to who shows a token.

import { SEGMENT_S } from './protected.js';
import { startOrigin } from './headwater.js';
import { SECRET } from './token.js';

const MASTER = '000102030405060708090a0b0c0d0e0f';
const KEYS = '[keys.main]\nprovider = "derived"\nmaster = "env:MASTER"\n';

/** Keys of the profiles whose names end so last for two segments. */
export const TURNS = '-turns';
export const KEY_PERIOD_S = 2 * SEGMENT_S;

function profile(name, { access = '', scheme = name, handed = true, more = '', last = '' }) {
  return (
    `[profiles.${name}]\nsegment_ms = ${SEGMENT_S * 1000}\n${more}${access}` +
    `[profiles.${name}.protection]\nscheme = "${scheme}"\nkeys = "main"\nsystems = ["clearkey"]\ndeliver_keys = ${handed}\n${last}`
  );
}

function whole(name, access = '') {
  return (
    `[profiles.${name}]\nsegment_ms = ${SEGMENT_S * 1000}\nformats = ["hls"]\n${access}` +
    `[profiles.${name}.protection]\nscheme = "aes-128"\nkeys = "main"\ndeliver_keys = true\n`
  );
}

/** Profiles `cbcs`, `cenc` and `whole` (aes-128), each with its keys and with keys that change, for everybody. @param {string} store a store's URL */
export function startOpen(store) {
  const last = `key_period_s = ${KEY_PERIOD_S}\n`;
  const turns = (scheme) => profile(`${scheme}${TURNS}`, { scheme, last });
  const all = [profile('cbcs', {}), profile('cenc', {}), whole('whole'), turns('cbcs'), turns('cenc'), whole(`whole${TURNS}`) + last];
  return start(store, KEYS + all.join(''));
}

/** Profiles `cbcs`, `cenc` and `whole` for who shows a token, and `kept`, which tells no key. @param {string} store a store's URL */
export function startGuarded(store) {
  const access = (name) => `[profiles.${name}.access]\nenforced_by = "origin"\n`;
  const tokens = `[origin.tokens]\nkeys = [{ id = "k1", secret = "env:SECRET" }]\nskew_s = 0\n`;
  const kept = profile('kept', { access: access('kept'), scheme: 'cbcs', handed: false, more: 'formats = ["dash"]\n' });
  const schemes = ['cbcs', 'cenc'].map((scheme) => profile(scheme, { access: access(scheme) }));
  return start(store, tokens + KEYS + schemes.join('') + whole('whole', access('whole')) + kept);
}

function start(store, profiles) {
  return startOrigin({ store: `[store]\nurl = "${store}"`, env: { MASTER, SECRET } }, profiles);
}

/** Where keys are handed out. */
export const KEY_URL = /\/(clear)?key(\.\d+)?(\?.*)?$/;

/** Every key that comes is another one. @param {import('playwright-core').Page} page */
export async function withOtherKeys(page) {
  await page.route(KEY_URL, async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    const type = response.headers()['content-type'];
    if (type !== 'application/json') return route.fulfill({ response, body: other(body) });
    const licence = JSON.parse(body);
    for (const key of licence.keys) key.k = other(Buffer.from(key.k, 'base64url')).toString('base64url');
    return route.fulfill({ response, json: licence });
  });
}

function other(key) {
  key[0] ^= 1;
  return key;
}
