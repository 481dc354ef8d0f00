// Shaka Player: HLS and DASH through Media Source Extensions; it tells which from the manifest.

import shaka from 'shaka-player/dist/shaka-player.compiled-es2021.js';

const { Category, Code, Severity } = shaka.util.Error;
const { AdvancedRequestType, RequestType } = shaka.net.NetworkingEngine;
const { fromUTF8, toUTF8 } = shaka.util.StringUtils;
const KINDS = { [Category.NETWORK]: 'network', [Category.MANIFEST]: 'manifest', [Category.MEDIA]: 'media', [Category.DRM]: 'key' };

/** @param {import('../players.js').Wish} wish @returns {Promise<import('../players.js').Session>} */
export async function play({ video, url, buffer_s, report }) {
  shaka.polyfill.installAll();
  if (!shaka.Player.isBrowserSupported()) {
    report({ fatal: true, kind: 'browser', detail: 'no Media Source Extensions' });
  }
  const player = new shaka.Player();
  player.addEventListener('error', (event) => report(problemOf(event.detail)));
  findKeys(player.getNetworkingEngine(), url);
  await player.attach(video);
  if (buffer_s !== null) {
    // A short buffer needs a short memory of the line: Shaka's own, 2 and 5 s, goes with a goal of 10 s. And only the
    // line is to decide: Shaka bans a rendition for 30 s when the machine drops its frames.
    const advanced = { fastHalfLife: buffer_s / 5, slowHalfLife: buffer_s / 2 };
    player.configure({ streaming: { bufferingGoal: buffer_s }, abr: { advanced, droppedFrames: false } });
  }
  player.load(url).catch((error) => {
    if (error.code !== Code.LOAD_INTERRUPTED) report({ ...problemOf(error), fatal: true });
  });

  const variant = () => player.getVariantTracks().find((track) => track.active);
  return {
    rungs: () => rungsOf(player.getVariantTracks()),
    playing: () => {
      const active = variant();
      return active ? rungId(active) : null;
    },
    // selectVariantTrack would narrow what may be chosen for good; a restriction can be taken back.
    pick: (id) => {
      const language = variant()?.language;
      const wanted = player.getVariantTracks().filter((track) => rungId(track) === id);
      const track = wanted.find((one) => one.language === language) ?? wanted[0];
      const [minBandwidth, maxBandwidth] = track ? [track.bandwidth, track.bandwidth] : [0, Infinity];
      player.configure('abr.restrictions', { minBandwidth, maxBandwidth });
    },
    throughput_bps: () => player.getStats().estimatedBandwidth || null,
    close: () => player.destroy(),
  };
}

/** Where clear keys are asked for. Of an MPD Shaka takes the address as it stands, where it may be relative. In HLS it
 *  knows raw keys alone: the one of a track lies beside its playlist, which names it where other players allow. */
function findKeys(network, url) {
  let mpd = url;
  network.registerResponseFilter((type, response, context) => {
    if (type !== RequestType.MANIFEST) return;
    if (context?.type === AdvancedRequestType.MPD) mpd = response.uri;
    if (context?.type === AdvancedRequestType.MEDIA_PLAYLIST) response.data = withRawKey(response.data);
  });
  network.registerRequestFilter((type, request) => {
    if (type === RequestType.LICENSE) request.uris = request.uris.map((uri) => new URL(uri, mpd).href);
  });
}

function withRawKey(data) {
  const playlist = fromUTF8(data);
  if (playlist.includes('KEYFORMAT="identity"')) return data;
  // The init segment that stands before a key says which period it is of.
  let period = '';
  const named = /#EXT-X-MAP:URI="init(\.\d+)?\.mp4|URI="\.\.\/clearkey(.*)KEYFORMAT="org\.w3\.clearkey"/g;
  const raw = playlist.replaceAll(named, (found, of, rest) => {
    if (rest === undefined) period = of ?? '';
    return rest === undefined ? found : `URI="key${period}${rest}KEYFORMAT="identity"`;
  });
  return toUTF8(raw);
}

/** A variant is a picture with a sound: several variants may share one picture. */
function rungsOf(variants) {
  const rungs = new Map();
  for (const track of variants) {
    const id = rungId(track);
    if (!rungs.has(id)) {
      rungs.set(id, { id, width: track.width, height: track.height, bandwidth_bps: track.bandwidth });
    }
  }
  return [...rungs.values()];
}

function rungId(track) {
  return String(track.originalVideoId ?? track.videoId ?? track.id);
}

function problemOf(error) {
  const name = Object.keys(Code).find((key) => Code[key] === error.code) ?? 'UNKNOWN';
  const http = error.code === Code.BAD_HTTP_STATUS;
  return {
    fatal: error.severity === Severity.CRITICAL,
    kind: KINDS[error.category] ?? 'player',
    status: http ? error.data[1] : undefined,
    url: error.category === Category.NETWORK ? error.data[0] : undefined,
    detail: `${name} ${error.code}`,
  };
}
