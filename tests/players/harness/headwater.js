// The product under test: the two binaries, a store with a title in it, and an origin that serves it.

import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
export const OUT = join(repository, 'tests/out/players');
const READY_MS = 15_000;
const STOP_MS = 10_000;
const KEPT_STORES = 3;

export const FPS = 25;
export const SAMPLE_S = 120;
export const SAMPLE = 'sample';
export const OTHER = 'other';
export const LABELLED_S = 16;
export const CODEC_S = 16;

/** Three rungs whose caps bind, so that their bit rates are as far apart as written. */
const SAMPLE_LADDER = [
  { height: 240, max_bitrate_kbps: 250, crf: 16 },
  { height: 360, max_bitrate_kbps: 500, crf: 16 },
  { height: 480, max_bitrate_kbps: 1000, crf: 16 },
];

const LABELLED_LADDER = [
  { height: 240, max_bitrate_kbps: 250, crf: 30 },
  { height: 600, max_bitrate_kbps: 900, crf: 30 },
];

const PROFILES = `[profiles.clear]
[profiles.short]
segment_ms = 2000
`;

/** Path of a built binary: `HEADWATER_TEST_ORIGIN`, `HEADWATER_TEST_ENCODER`, or the debug build's. */
export function binary(name) {
  const path = process.env[`HEADWATER_TEST_${name.toUpperCase()}`] ?? join(repository, 'target/debug', `headwater-${name}`);
  if (!existsSync(path)) throw new Error(`${path} is missing: cargo build -p headwater-${name}`);
  return path;
}

/** Store URL with the sample in it: a picture with bar code and timecode, a beep each second. Made once per encoder. */
export async function sampleStore(seconds = SAMPLE_S) {
  const name = seconds === SAMPLE_S ? 'sample' : `sample${seconds}`;
  return madeOnce(name, encoderConfig(SAMPLE_LADDER), async (folder, config) => {
    const source = join(folder, 'sample.mp4');
    await encoder(['sample', source, '--seconds', String(seconds), '--width', '854', '--height', '480', '--rate', String(FPS)]);
    await encoder(['encode', source, '--title', SAMPLE, '--config', config]);
    await rm(source);
  });
}

/** Store URL with two short titles, `sample` and `other`, whose two rungs are under keys of their own: SD and HD. */
export async function labelledStore() {
  return madeOnce('labels', encoderConfig(LABELLED_LADDER), async (folder, config) => {
    for (const [title, seconds] of [[SAMPLE, LABELLED_S], [OTHER, 4]]) {
      const source = join(folder, `${title}.mp4`);
      await encoder(['sample', source, '--seconds', String(seconds), '--width', '800', '--height', '600', '--rate', String(FPS)]);
      await encoder(['encode', source, '--title', title, '--config', config]);
      await rm(source);
    }
  });
}

/** Store URL with the title `sample` in AV1 and Opus, two rungs of CODEC_S seconds, made by ffmpeg and imported. */
export async function av1Store() {
  return madeOnce('av1', encoderConfig([]), async (folder, config) => {
    const source = join(folder, 'sample.mp4');
    await encoder(['sample', source, '--seconds', String(CODEC_S), '--width', '640', '--height', '360', '--rate', String(FPS)]);
    const pictures = ['-c:v', 'libsvtav1', '-preset', '12', '-g', String(2 * FPS), '-svtav1-params', 'scd=0'];
    const large = join(folder, 'large.mp4');
    const small = join(folder, 'small.mp4');
    const sound = join(folder, 'sound.mp4');
    await run('ffmpeg', ['-v', 'error', '-i', source, '-an', ...pictures, '-crf', '35', large]);
    await run('ffmpeg', ['-v', 'error', '-i', source, '-an', ...pictures, '-crf', '45', '-vf', 'scale=320:180', small]);
    await run('ffmpeg', ['-v', 'error', '-i', source, '-vn', '-c:a', 'libopus', '-b:a', '64k', sound]);
    await encoder(['import', large, small, sound, '--title', SAMPLE, '--config', config]);
    for (const file of [source, large, small, sound]) await rm(file);
  });
}

/** Store URL with files encoded by the default ladder, one title each. @param {Record<string, string>} files path by title */
export async function footageStore(files) {
  return madeOnce('footage', encoderConfig([]), async (_, config) => {
    for (const [title, path] of Object.entries(files)) await encoder(['encode', path, '--title', title, '--config', config]);
  });
}

/**
 * A folder that is filled once for each state of the encoder and its settings; a fill that fails leaves nothing.
 * @param {(folder: string, config: string) => Promise<void>} fill with the path of a config whose store is in the folder
 */
async function madeOnce(name, settings, fill) {
  const key = createHash('sha256').update(await readFile(binary('encoder'))).update(settings('')).digest('hex');
  const folder = join(OUT, `${name}-${key.slice(0, 16)}`);
  if (!existsSync(folder)) {
    await forgetOlder(name);
    const unfinished = await mkdtemp(join(OUT, 'unfinished-'));
    try {
      const config = join(unfinished, 'encoder.toml');
      await writeFile(config, settings(unfinished));
      await fill(unfinished, config);
      await rename(unfinished, folder);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  }
  return `file://${join(folder, 'store')}`;
}

async function forgetOlder(name) {
  await mkdir(OUT, { recursive: true });
  const older = (await readdir(OUT)).filter((entry) => entry.startsWith(`${name}-`));
  for (const entry of older.slice(0, Math.max(0, older.length - KEPT_STORES + 1))) {
    await rm(join(OUT, entry), { recursive: true, force: true });
  }
}

function encoderConfig(ladder) {
  const rungs = ladder.map(
    ({ height, max_bitrate_kbps, crf }) =>
      `[[encoder.ladder]]\nheight = ${height}\nmax_bitrate_kbps = ${max_bitrate_kbps}\ncrf = ${crf}\n`,
  );
  return (folder) =>
    [
      `[store]\nurl = "file://${folder}/store"`,
      `[encoder]\nwork_dir = "${folder}/work"\naudio_bitrate_kbps = 64\npreset = "superfast"\nsandbox = "${sandbox()}"`,
      ...rungs,
    ].join('\n');
}

/** The encoder's own sandbox, where this machine allows one. */
function sandbox() {
  const allows = (/** @type {string[]} */ ...options) => spawnSync('unshare', [...options, '--net', '--ipc', 'true']).status === 0;
  return allows('--map-root-user') || allows() ? 'namespaces' : 'outer';
}

/** @param {string[]} args */
async function encoder(args) {
  try {
    await run(binary('encoder'), args, { maxBuffer: 64 << 20 });
  } catch (error) {
    throw new Error(`headwater-encoder ${args.join(' ')}: ${error.message}\n${error.stderr ?? ''}`);
  }
}

/** Starts an S3 server that holds a copy of a store's folder: `reached` is what `startOrigin` takes. */
export async function startBucket(storeUrl) {
  const server = spawn(binary('test-s3'), [fileURLToPath(storeUrl)], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  for await (const text of server.stdout) {
    said += text;
    if (said.endsWith('\n')) break;
  }
  return { reached: JSON.parse(said), stop: () => server.stdin.end() };
}

/**
 * Starts an origin on a free port, with segments of 6 s in profile `clear` and of 2 s in `short`.
 * @param {string | {store: string, env: Record<string, string>}} where a store's URL, or what `startBucket` says of its own
 * @param {string} profiles tables of the configuration instead of those two
 */
export async function startOrigin(where, profiles = PROFILES) {
  const { store, env } = typeof where === 'string' ? { store: `[store]\nurl = "${where}"`, env: {} } : where;
  const folder = await mkdtemp(join(tmpdir(), 'headwater-origin-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'origin.toml');
  await writeFile(
    config,
    `${store}
[origin]
listen = ["127.0.0.1:${port}"]
admin_listen = "127.0.0.1:${adminPort}"
page = true
access_log = "off"
grace_s = 0
${profiles}`,
  );
  const child = spawn(binary('origin'), ['--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  let said = '';
  child.stderr.on('data', (text) => (said = (said + text).slice(-4000)));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  await ready(url, child, () => said);
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await gone;
      clearTimeout(late);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ready(url, child, said) {
  const deadline_ms = performance.now() + READY_MS;
  while (performance.now() < deadline_ms) {
    if (child.exitCode !== null) throw new Error(`headwater-origin ended with ${child.exitCode}: ${said()}`);
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await sleep(50);
  }
  child.kill('SIGKILL');
  throw new Error(`headwater-origin was not ready within ${READY_MS} ms: ${said()}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
