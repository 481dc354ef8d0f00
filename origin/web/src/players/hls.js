// hls.js: HLS through Media Source Extensions.

import Hls from 'hls.js';

const CLEAR_KEY = 'org.w3.clearkey';
const KINDS = { networkError: 'network', mediaError: 'media', muxError: 'media', keySystemError: 'key' };

/** Clear keys are asked for where the playlist says, whatever stands in the configuration; and each by its own id, which
 *  hls.js would not find in what the media brings along. */
const CLEAR_KEYS = {
  emeEnabled: true,
  drmSystems: { [CLEAR_KEY]: { licenseUrl: 'clearkey', generateRequest: (_type, _data, { decryptdata }) => requestOf(decryptdata.keyId) } },
  licenseXhrSetup: (xhr, _url, { decryptdata }) => xhr.open('POST', decryptdata.uri),
};

/** Key ids as initialization data (W3C's "keyids" format). */
function requestOf(keyId) {
  const kid = btoa(String.fromCharCode(...keyId)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return { initDataType: 'keyids', initData: new TextEncoder().encode(JSON.stringify({ kids: [kid] })) };
}

/** @param {import('../players.js').Wish} wish @returns {import('../players.js').Session} */
export function play({ video, url, buffer_s, report }) {
  if (!Hls.isSupported()) {
    report({ fatal: true, kind: 'browser', detail: 'no Media Source Extensions' });
  }
  const goal = buffer_s === null ? {} : { maxBufferLength: buffer_s, maxMaxBufferLength: buffer_s };
  const hls = new Hls({ ...goal, ...CLEAR_KEYS });
  hls.on(Hls.Events.ERROR, (_, error) => {
    const kind = error.details.startsWith('manifestParsing') ? 'manifest' : (KINDS[error.type] ?? 'player');
    const detail = [error.details, error.reason, error.error?.message].filter(Boolean).join(': ');
    const url = error.networkDetails?.responseURL || error.url || error.frag?.url;
    report({ fatal: error.fatal, kind, status: error.response?.code, url, detail });
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
