// dash.js: DASH through Media Source Extensions.

import { MediaPlayer } from 'dashjs';

/** @param {import('../players.js').Wish} wish @returns {import('../players.js').Session} */
export function play({ video, url, buffer_s, report }) {
  const player = MediaPlayer().create();
  const { ERROR, PLAYBACK_ERROR } = MediaPlayer.events;
  player.on(ERROR, ({ error }) => report(problemOf(error)));
  player.on(PLAYBACK_ERROR, ({ error }) =>
    report({ fatal: true, kind: 'media', detail: error?.message || 'playback error' }),
  );
  player.initialize();
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
  const kind = /parse|manifest/i.test(error.message ?? '') ? 'manifest' : 'network';
  return {
    fatal: true,
    kind,
    status: response.status,
    url: error.data?.request?.url ?? response.url,
    detail: error.message ?? `error ${error.code}`,
  };
}
