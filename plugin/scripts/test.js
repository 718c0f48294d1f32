// Node runs no TypeScript of its own in the oldest release that is supported, so esbuild goes first.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { packed } from './packed.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = `${root}.test`;
rmSync(outdir, { recursive: true, force: true });
const names = readdirSync(`${root}src`, { recursive: true }).filter((name) => /\.test\.tsx?$/.test(name));
await build({
  entryPoints: names.map((name) => `${root}src/${name}`),
  outdir,
  bundle: true,
  packages: 'external',
  platform: 'node',
  // React 17 has no exports map, which Node's own modules would want.
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  sourcemap: 'inline',
  plugins: [packed],
  logLevel: 'warning',
});
const built = readdirSync(outdir, { recursive: true }).filter((name) => name.endsWith('.cjs')).map((name) => `${outdir}/${name}`);
if (built.length !== names.length) throw new Error(`${names.length} tests, ${built.length} built`);
process.exitCode = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...built], { stdio: 'inherit' }).status ?? 1;
