// dash.js: DASH through Media Source Extensions.

import { MediaPlayer } from 'dashjs';

/** By dash.js's own words, the first that fits. */
const KINDS = [
  [/^DRM|^KeySystem/i, 'key'],
  [/parse|manifest/i, 'manifest'],
];

/** @param {import('../players.js').Wish} wish @returns {import('../players.js').Session} */
export function play({ video, url, buffer_s, report }) {
  const player = MediaPlayer().create();
  const { ERROR, MANIFEST_LOADED, PLAYBACK_ERROR } = MediaPlayer.events;
  player.on(ERROR, ({ error }) => report(problemOf(error)));
  player.on(PLAYBACK_ERROR, ({ error }) =>
    report({ fatal: true, kind: 'media', detail: error?.message || 'playback error' }),
  );
  // dash.js takes a licence server's address as it stands in the MPD, where it may be relative.
  let folder = url;
  player.on(MANIFEST_LOADED, ({ data }) => {
    folder = data.baseUri ?? folder;
  });
  player.initialize();
  player.registerLicenseRequestFilter((request) => {
    request.url = new URL(request.url, folder).href;
    return Promise.resolve();
  });
  if (buffer_s !== null) {
    const buffer = { bufferTimeDefault: buffer_s, bufferTimeAtTopQuality: buffer_s, bufferTimeAtTopQualityLongForm: buffer_s };
    const abr = { rules: { droppedFramesRule: { active: false } } }; // only the line is to decide
    player.updateSettings({ streaming: { buffer, abr } });
  }
  player.attachView(video);
  player.attachSource(url);

  return {
    rungs: () =>
      (player.isReady() ? player.getRepresentationsByType('video') : []).map((rung) => ({
        id: rung.id,
        width: rung.width,
        height: rung.height,
        bandwidth_bps: rung.bandwidth,
      })),
    playing: () => (player.isReady() ? (player.getCurrentRepresentationForType('video')?.id ?? null) : null),
    pick: (id) => {
      player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: id === null } } } });
      if (id !== null) player.setRepresentationForTypeById('video', id);
    },
    throughput_bps: () => (player.isReady() ? player.getAverageThroughput('video') * 1000 || null : null),
    close: () => player.destroy(),
  };
}

function problemOf(error) {
  const response = error.data?.response ?? {};
  const [, kind] = KINDS.find(([words]) => words.test(error.message ?? '')) ?? [null, 'network'];
  return {
    fatal: true,
    kind,
    status: response.status,
    url: error.data?.request?.url ?? response.url,
    detail: error.message ?? `error ${error.code}`,
  };
}
