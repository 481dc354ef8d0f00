// The players one can choose, each a chunk that is fetched when it is chosen.
//
// A player module exports `play(wish)` and answers a Session.

/**
 * @typedef {object} Wish
 * @property {HTMLVideoElement} video an empty element in the document
 * @property {string} url the manifest's
 * @property {number | null} buffer_s how far to buffer ahead, for those who study switching: then only the line decides
 *   over renditions, not a machine that drops frames; null leaves all that to the player
 * @property {(problem: import('./problem.js').Problem) => void} report called for each problem, fatal or survived
 *
 * @typedef {object} Rung one rendition of the picture
 * @property {string} id
 * @property {number} width
 * @property {number} height
 * @property {number} bandwidth_bps as the manifest says
 *
 * @typedef {object} Session
 * @property {() => Rung[]} rungs empty where the player does not tell
 * @property {() => string | null} playing id of the rung that is being fetched
 * @property {(id: string | null) => void} [pick] stays on one rung; null is the player's own choice
 * @property {() => number | null} throughput_bps
 * @property {() => void | Promise<void>} close
 */

/** @type {{id: string, name: string, manifest: 'hls' | 'dash', load: () => Promise<{play: (wish: Wish) => Session | Promise<Session>}>}[]} */
export const PLAYERS = [
  { id: 'hls.js', name: 'hls.js', manifest: 'hls', load: () => import('./players/hls.js') },
  { id: 'dash.js', name: 'dash.js', manifest: 'dash', load: () => import('./players/dash.js') },
  { id: 'shaka-hls', name: 'Shaka HLS', manifest: 'hls', load: () => import('./players/shaka.js') },
  { id: 'shaka-dash', name: 'Shaka DASH', manifest: 'dash', load: () => import('./players/shaka.js') },
  { id: 'video.js', name: 'video.js', manifest: 'hls', load: () => import('./players/video.js') },
  { id: 'native-hls', name: 'Browser HLS', manifest: 'hls', load: () => import('./players/native.js') },
];
