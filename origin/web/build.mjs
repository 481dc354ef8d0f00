// Builds the page into dist/, which the origin embeds file by file.
//
//   dist/index.html           the only name that never changes
//   dist/assets/NAME-HASH.*   everything else; a name stands for its bytes, so it can be cached for ever
//   dist/LICENSES.txt         the licence of every package whose code is in assets/
//
// Each player is a chunk of its own, fetched when it is first chosen: a first visit stays under FIRST_PAGE_MAX_BYTES.

import { build } from 'esbuild';
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIRST_PAGE_MAX_BYTES = 30_000;
const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.|-|$)/i;

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
const assets = await bundle();
const firstPageBytes = await writeIndex(assets);
await writeLicences();
console.log(`dist/: first page ${firstPageBytes} bytes, ${(await readdir(join(dist, 'assets'))).length} assets`);

/** Bundles script and style; answers the built names of the two that index.html loads, and all of a first visit. */
async function bundle() {
  const result = await build({
    absWorkingDir: root,
    entryPoints: ['src/page.js', 'src/page.css'],
    outdir: 'dist/assets',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none', // they stand in LICENSES.txt
    metafile: true,
    logLevel: 'warning',
  });
  const { outputs } = result.metafile;
  const builtFrom = (source) => Object.keys(outputs).find((path) => outputs[path].entryPoint === source);
  const [script, style] = [builtFrom('src/page.js'), builtFrom('src/page.css')];
  const first = new Set([script, style]);
  for (const path of first) {
    for (const { path: wanted, kind } of outputs[path].imports) if (kind === 'import-statement') first.add(wanted);
  }
  const name = (path) => path.replace(/^dist\//, '');
  return { script: name(script), style: name(style), first: [...first].map(name) };
}

/** Writes index.html with the built names in place of the source ones; answers the bytes of a first visit. */
async function writeIndex({ script, style, first }) {
  const source = await readFile(join(root, 'src/index.html'), 'utf8');
  const html = replaceOnce(replaceOnce(source, 'page.js', script), 'page.css', style);
  await writeFile(join(dist, 'index.html'), html);
  let bytes = Buffer.byteLength(html);
  for (const name of first) bytes += (await stat(join(dist, name))).size;
  if (bytes > FIRST_PAGE_MAX_BYTES) {
    throw new Error(`the first page is ${bytes} bytes, more than ${FIRST_PAGE_MAX_BYTES}: load something later`);
  }
  return bytes;
}

function replaceOnce(text, what, by) {
  if (text.split(what).length !== 2) throw new Error(`src/index.html must name ${what} exactly once`);
  return text.replace(what, by);
}

/** Players come as ready bundles, so a package counts as shipped when a player depends on it at all. */
async function writeLicences() {
  const page = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const shipped = new Map();
  const wanted = Object.keys(page.devDependencies).filter((name) => name !== 'esbuild');
  while (wanted.length > 0) {
    const name = wanted.pop();
    if (shipped.has(name)) continue;
    const manifest = JSON.parse(await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    shipped.set(name, await licenceOf(manifest));
    wanted.push(...Object.keys(manifest.dependencies ?? {}));
  }
  const texts = [...shipped].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
  await writeFile(join(dist, 'LICENSES.txt'), `The page's players and what they are built from.\n\n${texts.join('\n')}`);
}

async function licenceOf(manifest) {
  const folder = join(root, 'node_modules', manifest.name);
  const files = (await readdir(folder)).filter((name) => LICENCE_FILE.test(name)).sort();
  if (files.length === 0) {
    throw new Error(`node_modules/${manifest.name} holds no licence text: look for it and add it to build.mjs`);
  }
  const parts = [`==== ${manifest.name} ${manifest.version} (${manifest.license ?? 'see below'}) ====\n`];
  for (const name of files) parts.push((await readFile(join(folder, name), 'utf8')).trim(), '');
  return parts.join('\n');
}
