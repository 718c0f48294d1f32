// Builds the script of the page that hosts Flex: the real Flex UI from npm, for which Twilio's own page loads another
// packaging of the same code. It is kept in node_modules and never committed.
import { build } from 'esbuild';
import { stat, rename } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const file = here('node_modules/.flex-host/host.js');

/** Returns the script's path and builds it when it is not there, or anew. */
export async function hostScript({ anew = false } = {}) {
  if (!anew && (await stat(file).catch(() => undefined))) return file;
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
  return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await hostScript());
