// Builds the script of the page that hosts Flex: the real Flex UI from npm, for which Twilio's own page loads another
// packaging of the same code. It is kept in node_modules and in the user's cache, so that a fresh checkout need not fetch
// 740 MB for it, and it is never committed.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const file = here('node_modules/.flex-host/host.js');
const exists = (path) => stat(path).then(() => true, () => false);

/** Whether the packages are here that the script is made of. */
export const canBuild = () => exists(here('node_modules/.installed'));

/** Returns the script's path. It is built when it is not there, or anew if that is asked for and can be done. */
export async function hostScript({ anew = false } = {}) {
  if (!(anew && (await canBuild())) && (await kept())) return file;
  const { build } = await import('esbuild');
  // Two tests that build at once must not see each other's half.
  const half = `${file}.${process.pid}`;
  await build({
    stdin: {
      contents: `import * as Flex from '@twilio/flex-ui'; window.Twilio = window.Twilio || {}; window.Twilio.Flex = Flex;`,
      resolveDir: here('.'),
    },
    absWorkingDir: here('.'),
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
  });
  await rename(half, file);
  await copy(file, await inCache());
  return file;
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
