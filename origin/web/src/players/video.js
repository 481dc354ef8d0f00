// video.js with its own HLS engine (VHS) through Media Source Extensions. Its controls and styles stay out:
// the page shows every player in the same plain element.

import videojs from 'video.js';
import { ofElement } from '../problem.js';

/** @param {import('../players.js').Wish} wish @returns {Promise<import('../players.js').Session>} */
export async function play({ video, url, buffer_s, report }) {
  if (buffer_s !== null) limitBuffer(buffer_s);
  // The browser's guess of the line (navigator.connection) would stand above what VHS measures itself.
  // A rendition of which one segment was cut off is offered again soon, not after a minute: on a bad line nothing
  // but the largest would be left.
  const vhsOptions = { overrideNative: true, useNetworkInformationApi: false, playlistExclusionDuration: 5 };
  const player = videojs(video, {
    controls: false,
    children: ['mediaLoader'],
    html5: { nativeAudioTracks: false, nativeVideoTracks: false, vhs: vhsOptions },
  });
  player.on('error', () => report(problemOf(player.error())));
  await new Promise((resolve) => player.ready(resolve));
  player.src({ src: url, type: 'application/vnd.apple.mpegurl' });
  video.controls = true;

  const vhs = () => player.tech({ IWillNotUseThisInPlugins: true })?.vhs;
  return {
    rungs: () => (vhs()?.representations?.() ?? []).map(({ id, width, height, bandwidth }) => ({ id, width, height, bandwidth_bps: bandwidth })),
    playing: () => vhs()?.playlists?.media?.()?.id ?? null,
    pick: (id) => {
      for (const rung of vhs()?.representations?.() ?? []) rung.enabled(id === null || rung.id === id);
    },
    throughput_bps: () => vhs()?.systemBandwidth || null,
    close: () => player.dispose(),
  };
}

/** VHS keeps these for all its players. It moves to a higher rung only above the low-water line, which would
 *  otherwise grow to 30 s. */
function limitBuffer(buffer_s) {
  videojs.Vhs.GOAL_BUFFER_LENGTH = buffer_s;
  videojs.Vhs.MAX_GOAL_BUFFER_LENGTH = buffer_s;
  videojs.Vhs.MAX_BUFFER_LOW_WATER_LINE = buffer_s / 2;
}

function problemOf(error) {
  const status = error.status || Number(/HTTP request.*?(\d{3})/.exec(error.message)?.[1]) || undefined;
  return { ...ofElement(error), status };
}
