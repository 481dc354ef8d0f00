// Questions to the network's log: what was asked for, and whether anything was lost for good.

/** /clear/film/0198….1a2b/v720/7.m4s -> {track: "v720", kind: "v", number: 7}; null for what is no segment. */
export function segmentOf(path) {
  const [, track, number] = /\/([a-z0-9-]+)\/(\d+)\.m4s$/.exec(path) ?? [];
  return track ? { track, kind: track[0], number: Number(number) } : null;
}

export function segments(log) {
  return log.map((exchange) => ({ ...exchange, ...segmentOf(exchange.path) })).filter(({ number }) => number !== undefined);
}

/** Answers that are no success, one line each; with `also` allowed. */
export function unsuccessful(log, also = []) {
  const good = [200, 206, 304, ...also];
  const failed = log.filter(({ status, state }) => state === 'failed' || (status !== null && !good.includes(status)));
  return failed.map(({ status, state, path }) => `${status ?? state} ${path}`);
}

/** Segments that were cut short and came whole in no rendition: holes. What is still on its way is not lost. */
export function lost(log) {
  const keys = (states) => segments(log).filter(({ state }) => states.includes(state)).map(({ kind, number }) => `${kind}${number}`);
  const comes = new Set(keys(['done', 'running']));
  return [...new Set(keys(['aborted', 'cut', 'failed']))].filter((key) => !comes.has(key));
}

/** Numbers of a kind's segments ("v", "a") that are missing in 1..=last. */
export function missing(log, kind, last) {
  const whole = new Set(segments(log).filter((segment) => segment.kind === kind && segment.state === 'done').map(({ number }) => number));
  return Array.from({ length: last }, (_, i) => i + 1).filter((number) => !whole.has(number));
}
