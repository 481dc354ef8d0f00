// The browser's own HLS: no script between server and decoder, and so no word about renditions or requests.

import { ofElement } from '../problem.js';

/** @param {import('../players.js').Wish} wish @returns {import('../players.js').Session} */
export function play({ video, url, report }) {
  video.addEventListener('error', () => {
    if (video.error) report(ofElement(video.error));
  });
  if (!video.canPlayType('application/vnd.apple.mpegurl')) {
    report({ fatal: true, kind: 'browser', detail: 'it has no HLS of its own' });
  }
  video.src = url;

  return {
    rungs: () => [],
    playing: () => null,
    throughput_bps: () => null,
    close: () => {
      video.removeAttribute('src');
      video.load();
    },
  };
}
