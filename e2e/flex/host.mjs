// Builds the script of the page that hosts Flex: the real Flex UI from npm, for which Twilio's own page loads another
// packaging of the same code. It is kept in node_modules and in the user's cache, so that a fresh checkout need not fetch
// 740 MB for it, and it is never committed. FLEX_UI names another release than that of package.json; its packages are fetched for
// the build alone.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const exists = (path) => stat(path).then(() => true, () => false);
const readJSON = async (path) => JSON.parse(await readFile(path, 'utf8'));

/** The release that is asked for; undefined is that of package.json. */
const release = process.env.FLEX_UI || undefined;
if (release && !/^2\.\d+\.\d+$/.test(release)) throw new Error(`FLEX_UI is ${release}, which is no release of Flex UI 2`);
const file = here(`node_modules/.flex-host/host${release ? `-${release}` : ''}.js`);

/** Whether the packages are here that the script is made of; those of another release can always be fetched. */
export const canBuild = async () => release !== undefined || (await exists(here('node_modules/.installed')));

/** Returns the script's path. It is built when it is not there, or anew if that is asked for and can be done. */
export async function hostScript({ anew = false } = {}) {
  if (!(anew && (await canBuild())) && (await kept())) return file;
  if (release) await withPackages(release, build);
  else await build(here('.'));
  await copy(file, await inCache());
  return file;
}

/** Bundles the packages of a folder. */
async function build(folder) {
  const { build } = createRequire(join(folder, 'package.json'))('esbuild');
  // Two tests that build at once must not see each other's half.
  const half = `${file}.${process.pid}`;
  await build({
    stdin: {
      contents: `import * as Flex from '@twilio/flex-ui'; window.Twilio = window.Twilio || {}; window.Twilio.Flex = Flex;`,
      resolveDir: folder,
    },
    absWorkingDir: folder,
    outfile: half,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2020',
    minify: true,
    legalComments: 'none',
    logLevel: 'error',
    mainFields: ['browser', 'module', 'main'],
    alias: { path: 'path-browserify' },
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    loader: { '.css': 'css' },
    // Old releases count on a bundler that brings Node's process along, too.
    banner: { js: 'globalThis.process ??= { env: {}, browser: true, nextTick: (then, ...all) => queueMicrotask(() => then(...all)) };' },
  });
  await rename(half, file);
}

/** Fetches the packages of a release into a folder of their own, and takes them away again. */
async function withPackages(version, use) {
  await mkdir(here('node_modules'), { recursive: true });
  const folder = await mkdtemp(here(`node_modules/.flex-ui-${version}-`));
  try {
    const { dependencies } = await readJSON(here('package.json'));
    // Old releases count on a bundler that brings Node's events along.
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { ...dependencies, events: '3.3.0', '@twilio/flex-ui': version } }));
    await promisify(execFile)('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--no-package-lock'], { cwd: folder, maxBuffer: 1 << 26 });
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the script is there, or was in the cache. */
async function kept() {
  if (await exists(file)) return true;
  const cached = await inCache();
  if (!(await exists(cached))) return false;
  await copy(cached, file);
  return true;
}

/** One file for each state of what the script is made of and how. */
async function inCache() {
  const hash = createHash('sha256');
  if (release) hash.update(release);
  for (const part of [here('package-lock.json'), here('host.mjs')]) hash.update(await readFile(part));
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'flexvc', `flex-host-${hash.digest('hex').slice(0, 16)}.js`);
}

async function copy(from, to) {
  await mkdir(dirname(to), { recursive: true });
  const half = `${to}.${process.pid}`;
  await copyFile(from, half);
  await rename(half, to);
}

// --kept asks only whether there is one, without the packages.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!process.argv.includes('--kept')) console.log(await hostScript());
  else if (!(await kept())) process.exitCode = 1;
}
