// Makes Headwater's compact tokens; written from docs/tokens.md alone.

import { createHmac } from 'node:crypto';

/** The secret of the key `k1`, in hexadecimal digits as the origin reads it. */
export const SECRET = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';

const TAGS = { folder: 3, url: 4, max_height: 5, labels: 6, expires: 8, renew_until: 14 };

/** @param {{folder?: string, url?: string, max_height?: number, labels?: string, expires: number, renew_until?: number}} claims */
export function issue(claims) {
  const known = Object.entries(claims).map(([name, value]) => [TAGS[name], value]);
  const parts = known.sort(([a], [b]) => a - b).map(([tag, value]) => claim(tag, value));
  const signed = Buffer.concat([Buffer.from([1, 2]), Buffer.from('k1'), ...parts]);
  const mac = createHmac('sha256', Buffer.from(SECRET, 'hex')).update('headwater token\n').update(signed).digest();
  return Buffer.concat([signed, mac]).toString('base64url');
}

function claim(tag, value) {
  let bytes = Buffer.from(String(value));
  if (typeof value === 'number') {
    bytes = Buffer.alloc(tag === TAGS.max_height ? 4 : 8);
    if (tag === TAGS.max_height) bytes.writeUInt32BE(value);
    else bytes.writeBigUInt64BE(BigInt(value));
  }
  const head = Buffer.alloc(3);
  head.writeUInt8(tag);
  head.writeUInt16BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Seconds since 1970, some from now. */
export function inSeconds(seconds) {
  return Math.floor(Date.now() / 1000) + seconds;
}
