// One classic script, as Flex loads it: no modules, no chunks, React from Flex. The bundle is the same for everybody;
// `flexvc plugin deploy` puts an account's settings into the argument at its end, see ../embed.go.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { packed } from './packed.js';

const most = 60_000;
const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Flex puts its own React on the window before it loads plugins; a second copy could not share its hooks. */
const flexGlobals = {
  name: 'flex-globals',
  setup(building) {
    building.onResolve({ filter: /^react$/ }, ({ path }) => ({ path, namespace: 'flex' }));
    building.onLoad({ filter: /.*/, namespace: 'flex' }, () => ({ contents: 'module.exports = window.React' }));
  },
};

const outfile = here('dist/bundle.js');
await build({
  entryPoints: [here('src/index.ts')],
  outfile,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  // UTF-8, whatever the server says of the script's encoding.
  charset: 'ascii',
  plugins: [flexGlobals, packed],
  banner: { js: '(function(flexvcSettings){' },
  footer: { js: '})(/*flexvc:settings*/null);' },
});

const size = readFileSync(outfile).length;
console.log(`plugin: bundle.js has ${size} bytes, ${most - size} below the limit`);
if (size > most) {
  console.error(`plugin: bundle.js must not have more than ${most} bytes`);
  process.exitCode = 1;
}
