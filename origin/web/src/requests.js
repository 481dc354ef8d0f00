// Every request a player makes: what was asked, what came, how long it took, what a cache may keep.
//
// Two witnesses are needed. Wrapped fetch and XMLHttpRequest see the start, the status and the headers; the
// browser's resource timing sees the bytes and the end, and whether its own cache answered. The browser's own HLS
// asks from outside the page and is seen by neither.

const KEPT = 1000; // requests; older ones are forgotten

/**
 * @typedef {object} Request
 * @property {string} path
 * @property {'manifest' | 'video' | 'audio' | 'other'} kind
 * @property {number} start_ms since the page began
 * @property {number | null} end_ms null while it runs
 * @property {'running' | 'done' | 'failed' | 'aborted'} state
 * @property {number | null} status
 * @property {number | null} body_bytes
 * @property {string} cache where the answer came from, or how long it may be kept
 */

/** @type {Request[]} in the order they began */
export const requests = [];

export function forget() {
  requests.length = 0;
}

/** Begins to watch; call once, before a player is loaded. */
export function watch() {
  watchFetch();
  watchXhr();
  new PerformanceObserver((list) => list.getEntries().forEach(complete)).observe({ type: 'resource' });
}

function watchFetch() {
  const plain = window.fetch;
  window.fetch = async function (input, init) {
    const request = begin(input instanceof Request ? input.url : String(input));
    const signal = init?.signal ?? (input instanceof Request ? input.signal : null);
    signal?.addEventListener('abort', () => finish(request, 'aborted'), { once: true });
    try {
      const response = await plain.call(window, input, init);
      answered(request, response.status, (name) => response.headers.get(name));
      return response;
    } catch (error) {
      finish(request, error.name === 'AbortError' ? 'aborted' : 'failed');
      throw error;
    }
  };
}

function watchXhr() {
  const { open, send } = XMLHttpRequest.prototype;
  const urls = new WeakMap();
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    urls.set(this, String(url));
    return open.call(this, method, url, ...rest);
  };
  XMLHttpRequest.prototype.send = function (body) {
    const request = begin(urls.get(this));
    this.addEventListener('readystatechange', () => {
      if (this.readyState === 2) answered(request, this.status, (name) => this.getResponseHeader(name));
    });
    this.addEventListener('abort', () => finish(request, 'aborted'));
    this.addEventListener('error', () => finish(request, 'failed'));
    this.addEventListener('timeout', () => finish(request, 'failed'));
    return send.call(this, body);
  };
}

function begin(url) {
  const absolute = new URL(url, location.href);
  const request = {
    url: absolute.href,
    path: absolute.pathname,
    kind: kindOf(absolute.pathname),
    start_ms: performance.now(),
    end_ms: null,
    state: 'running',
    status: null,
    body_bytes: null,
    cache: '',
  };
  if (!/^https?:$/.test(absolute.protocol)) return request; // a blob or data URL is no request
  if (requests.push(request) > KEPT) requests.shift();
  return request;
}

function answered(request, status, header) {
  request.status = status;
  const age = header('age');
  request.cache = (header('cache-control') ?? '') + (age ? `, age ${age}` : '');
  if (status >= 400) finish(request, 'failed');
}

function finish(request, state) {
  if (request.end_ms !== null) return;
  request.state = state;
  request.end_ms = performance.now();
}

/** The browser's timing of one request: the oldest of that URL that still runs. */
function complete(entry) {
  const request = requests.find(({ url, end_ms }) => end_ms === null && url === entry.name);
  if (!request) return;
  request.body_bytes = entry.encodedBodySize;
  if (entry.transferSize === 0 && entry.encodedBodySize > 0) request.cache = 'browser cache';
  request.status ??= entry.responseStatus || null;
  request.state = request.status === null || request.status >= 400 ? 'failed' : 'done';
  request.end_ms = Math.max(entry.responseEnd, request.start_ms);
}

/** Segments lie under a track's folder; the encoder names video tracks v..., audio tracks a.... */
function kindOf(path) {
  if (/\.(m3u8|mpd)$/.test(path)) return 'manifest';
  const track = path.split('/').at(-2) ?? '';
  if (/^v/.test(track)) return 'video';
  if (/^a/.test(track)) return 'audio';
  return 'other';
}
