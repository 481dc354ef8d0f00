// hls.js: HLS through Media Source Extensions.

import Hls from 'hls.js';

const KINDS = { networkError: 'network', mediaError: 'media', muxError: 'media', keySystemError: 'browser' };

/** @param {import('../players.js').Wish} wish @returns {import('../players.js').Session} */
export function play({ video, url, buffer_s, report }) {
  if (!Hls.isSupported()) {
    report({ fatal: true, kind: 'browser', detail: 'no Media Source Extensions' });
  }
  const goal = buffer_s === null ? {} : { maxBufferLength: buffer_s, maxMaxBufferLength: buffer_s };
  const hls = new Hls(goal);
  hls.on(Hls.Events.ERROR, (_, error) => {
    const kind = error.details.startsWith('manifestParsing') ? 'manifest' : (KINDS[error.type] ?? 'player');
    const detail = [error.details, error.reason, error.error?.message].filter(Boolean).join(': ');
    report({ fatal: error.fatal, kind, status: error.response?.code, url: error.url ?? error.frag?.url, detail });
  });
  hls.loadSource(url);
  hls.attachMedia(video);

  return {
    rungs: () =>
      hls.levels.map((level, index) => ({
        id: String(index),
        width: level.width,
        height: level.height,
        bandwidth_bps: level.bitrate,
      })),
    playing: () => (hls.loadLevel < 0 ? null : String(hls.loadLevel)),
    pick: (id) => {
      hls.nextLevel = id === null ? -1 : Number(id);
    },
    throughput_bps: () => hls.bandwidthEstimate || null,
    close: () => hls.destroy(),
  };
}
