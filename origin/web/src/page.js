// The page: choose a title, a player and a profile; watch; see what the player does.
//
// A link chooses too, and plays at once: /?title=ID&player=ID&profile=NAME, and for small buffers &buffer=SECONDS.
// `window.headwater` is the same state for scripts: {video, session, requests, problems}.

import { showChoices } from './choice.js';
import { PLAYERS } from './players.js';
import { draw } from './plot.js';
import { inWords } from './problem.js';
import { forget, requests, watch } from './requests.js';
import { clock, fetchTitles } from './titles.js';

const REFRESH_MS = 250;
const TABLE_ROWS = 120;
const BUFFER_SAMPLES = 240; // a minute of refreshes

const $ = (id) => document.getElementById(id);
const link = new URLSearchParams(location.search);
const chosen = { title: link.get('title'), player: link.get('player') ?? PLAYERS[0].id, profile: link.get('profile') };
const buffer_s = Number(link.get('buffer')) || null;

let titles = [];
let bufferSamples = [];
let shownRungs = '';
let picked = null;
/** Counts plays: what a closed player still reports is not shown. */
let turn = 0;
const shown = (window.headwater = { video: null, session: null, requests, problems: [] });

await start();

async function start() {
  watch();
  showPlayers();
  try {
    titles = await fetchTitles();
    $('titles-note').textContent = titles.length === 0 ? 'No titles yet. Make one: headwater-encoder encode FILE --title NAME' : '';
  } catch (error) {
    $('titles-note').textContent = error.message;
    $('titles-note').classList.add('problem');
  }
  showTitles();
  setInterval(refresh, REFRESH_MS);
  if (chosen.title !== null) await play();
}

function showTitles() {
  const options = titles.map(({ id, duration_ms }) => ({ id, label: id, note: clock(duration_ms) }));
  showChoices($('titles'), options, chosen.title, (id) => choose({ title: id }));
}

/** A player is offered when the title's profile has its kind of manifest. */
function showPlayers() {
  const offered = manifests();
  const options = PLAYERS.map(({ id, name, manifest }) => ({
    id,
    label: name,
    disabled: offered !== null && !offered[manifest],
    title: offered !== null && !offered[manifest] ? `This profile has no ${manifest.toUpperCase()}` : '',
  }));
  showChoices($('players'), options, chosen.player, (id) => choose({ player: id }));
}

function showProfiles() {
  const names = Object.keys(title()?.profiles ?? {});
  $('profiles').hidden = names.length < 2;
  showChoices($('profiles'), names.map((id) => ({ id, label: id })), chosen.profile, (id) => choose({ profile: id }));
}

function title() {
  return titles.find(({ id }) => id === chosen.title);
}

function manifests() {
  return title()?.profiles[chosen.profile] ?? null;
}

async function choose(change) {
  Object.assign(chosen, change);
  await play();
}

/** Closes what played and plays what is chosen. */
async function play() {
  const mine = ++turn;
  await close();
  const names = Object.keys(title()?.profiles ?? {});
  if (!names.includes(chosen.profile)) chosen.profile = names[0] ?? null;
  showPlayers();
  showProfiles();
  writeLink();

  const player = PLAYERS.find(({ id }) => id === chosen.player);
  const url = player && manifests()?.[player.manifest];
  if (!url) return sayProblem(whyNot(player));

  const { play: begin } = await player.load();
  if (mine !== turn) return;
  const video = Object.assign(document.createElement('video'), { controls: true, playsInline: true });
  video.setAttribute('aria-label', chosen.title);
  $('stage').replaceChildren(video);
  const report = (problem) => {
    if (mine === turn) noteProblem(problem);
  };
  const session = await begin({ video, url: new URL(url, location.href).href, buffer_s, report });
  if (mine !== turn) return session.close();
  shown.video = video;
  shown.session = session;
  $('requests-note').hidden = player.id !== 'native-hls';
  $('requests-note').textContent = 'The browser’s own HLS asks from outside the page: its requests cannot be shown here.';
  await startPlaying(video);
}

async function close() {
  const { session } = shown;
  shown.video = shown.session = null;
  shown.problems.length = 0;
  bufferSamples = [];
  picked = null;
  shownRungs = '';
  $('rungs').replaceChildren();
  $('problem').hidden = $('hint').hidden = true;
  await session?.close();
  $('stage').replaceChildren();
  forget();
}

function whyNot(player) {
  if (!title()) return `There is no title “${chosen.title}” here.`;
  if (!player) return `There is no player “${chosen.player}”. There are: ${PLAYERS.map(({ id }) => id).join(', ')}.`;
  return `“${chosen.title}” has no ${player.manifest.toUpperCase()} in profile ${chosen.profile}.`;
}

function writeLink() {
  const query = new URLSearchParams(chosen);
  if (buffer_s !== null) query.set('buffer', buffer_s);
  history.replaceState(null, '', `?${query}`);
  document.title = `${chosen.title} – Headwater`;
}

/** Browsers refuse sound before the first click; then the picture starts alone. */
async function startPlaying(video) {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError') return;
    video.muted = true;
    $('hint').textContent = 'Muted: the browser allows sound only after a click.';
    $('hint').hidden = false;
    await video.play().catch(() => {});
  }
}

/** Keeps every problem; shows the first that ended playback, because what follows it says less.
 *  video.js may say no more than that something failed; then the last request that was refused is named. */
function noteProblem(problem) {
  const unexplained = !problem.status && !problem.url && problem.kind !== 'media';
  const refused = unexplained ? requests.findLast(({ status }) => status >= 400) : undefined;
  const explained = refused ? { ...problem, status: refused.status, url: refused.url } : problem;
  shown.problems.push(explained);
  if (problem.fatal && $('problem').hidden) sayProblem(inWords(explained));
}

function sayProblem(text) {
  $('problem').textContent = text;
  $('problem').hidden = false;
}

function refresh() {
  const now_ms = performance.now();
  if (shown.video) {
    const ahead_s = ahead(shown.video);
    bufferSamples.push({ at_ms: now_ms, ahead_s });
    if (bufferSamples.length > BUFFER_SAMPLES) bufferSamples.shift();
    showFigures(shown.video, shown.session, ahead_s);
    showRungs(shown.session);
  }
  draw($('plot'), requests, bufferSamples, now_ms);
  showRequests();
}

/** Seconds that can be played from here without a further byte. */
function ahead({ buffered, currentTime }) {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}

function showFigures(video, session, ahead_s) {
  const { droppedVideoFrames, totalVideoFrames } = video.getVideoPlaybackQuality();
  const throughput = session.throughput_bps();
  $('picture').textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–';
  $('buffer').textContent = `${ahead_s.toFixed(1)} s`;
  $('throughput').textContent = throughput === null ? '–' : rate(throughput);
  $('dropped').textContent = `${droppedVideoFrames} of ${totalVideoFrames}`;
}

function rate(bps) {
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

/** Renditions, lowest first; the one being fetched is marked. Shown anew only when something changed. */
function showRungs(session) {
  const rungs = session.rungs().sort((a, b) => a.bandwidth_bps - b.bandwidth_bps);
  const playing = session.playing();
  const key = JSON.stringify([rungs, playing, picked]);
  if (key === shownRungs) return;
  shownRungs = key;
  $('rungs-note').hidden = rungs.length > 0;
  $('rungs-note').textContent = 'This player keeps its renditions to itself.';
  const options = rungs.map(({ id, height, bandwidth_bps }) => ({
    id,
    label: `${height}p`,
    note: rate(bandwidth_bps),
    current: id === playing,
    title: id === playing ? 'Being fetched now' : '',
  }));
  if (rungs.length > 0) options.unshift({ id: '', label: 'Auto' });
  showChoices($('rungs'), options, picked ?? '', pickRung);
}

function pickRung(id) {
  picked = id === '' ? null : id;
  shown.session.pick(picked);
}

function showRequests() {
  const rows = requests.slice(-TABLE_ROWS).reverse().map((request) => {
    const row = document.createElement('tr');
    row.className = request.state;
    const took_ms = request.end_ms === null ? '…' : Math.round(request.end_ms - request.start_ms);
    const cells = [
      `${(request.start_ms / 1000).toFixed(1)} s`,
      shortPath(request.path),
      request.state === 'aborted' ? 'aborted' : (request.status ?? (request.state === 'failed' ? 'failed' : '')),
      request.body_bytes?.toLocaleString('en') ?? '',
      took_ms,
      request.cache,
    ];
    cells.forEach((text, index) => {
      const cell = document.createElement('td');
      cell.textContent = String(text);
      if (index === 1) cell.title = request.path;
      if (index === 3 || index === 4) cell.className = 'number';
      row.append(cell);
    });
    return row;
  });
  $('requests').replaceChildren(...rows);
}

/** The end of a path tells requests apart: /clear/film/0198….1a2b/v720/7.m4s -> …/v720/7.m4s */
function shortPath(path) {
  const parts = path.split('/');
  return parts.length > 4 ? `…/${parts.slice(-2).join('/')}` : path;
}
