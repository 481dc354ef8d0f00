// What went wrong, in words a viewer understands, with the detail an operator needs behind it.

/**
 * @typedef {object} Problem
 * @property {boolean} fatal playback ended with it
 * @property {'network' | 'manifest' | 'media' | 'key' | 'browser' | 'player'} kind where it happened
 * @property {number} [status] HTTP status, when the server answered
 * @property {string} [url] what was asked for
 * @property {string} detail in the player's own words
 */

const STATUS_WORDS = {
  401: 'asks who you are',
  403: 'does not let you have it',
  404: 'has no such file',
  429: 'is asked too often',
  500: 'made a mistake',
  502: 'found its stored copy damaged',
  503: 'is too busy or cannot reach its store',
  504: 'waited too long for its store',
};

const KIND_WORDS = {
  network: 'The server did not answer.',
  manifest: 'The player could not read the manifest.',
  media: 'The browser could not play what it was sent.',
  key: 'The player has no key to it.',
  browser: 'This browser cannot play this kind of stream.',
  player: 'The player gave up.',
};

/** @param {Problem} problem @returns {string} one or two sentences */
export function inWords(problem) {
  return `${sentence(problem)}${path(problem.url)} (${problem.detail})`;
}

function sentence({ kind, status }) {
  if (!status || status < 400) return KIND_WORDS[kind];
  return `The server ${STATUS_WORDS[status] ?? 'refused'} (${status}).`;
}

function path(url) {
  return url ? ` ${new URL(url, location.href).pathname}` : '';
}

/** What a media element says of itself. @param {MediaError} error @returns {Problem} */
export function ofElement(error) {
  const kind = { 2: 'network', 3: 'media', 4: 'browser' }[error.code] ?? 'player';
  return { fatal: true, kind, detail: error.message || `media error ${error.code}` };
}
