// Runs browser tests, a process for each file, and a file that failed once more when nothing else runs: real browsers on a
// busy machine now and then miss a deadline. A second attempt is named in the last lines, and a second failure is one.
//
//   node e2e/run.mjs [--at-once N] FILE...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ options: { 'at-once': { type: 'string', default: '1' } }, allowPositionals: true });
const limit = 15 * 60_000;

async function run(file) {
  const started = Date.now();
  const child = spawn(process.execPath, ['--test', '--test-reporter=spec', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
  const timer = setTimeout(() => child.kill('SIGTERM'), limit);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  running.delete(child);
  process.stdout.write(`\n${file}: ${code === 0 ? 'passed' : 'failed'} after ${Math.round((Date.now() - started) / 1000)} s\n${Buffer.concat(said)}`);
  return code === 0;
}

const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await Promise.all([...running].map((child) => (child.kill('SIGTERM'), once(child, 'close'))));
    process.exit(1);
  });
}

const waiting = [...positionals];
const failed = [];
await Promise.all(Array.from({ length: Number(values['at-once']) }, async () => {
  for (let file; (file = waiting.shift()); ) if (!(await run(file))) failed.push(file);
}));

const verdicts = [];
for (const file of failed) {
  const passed = await run(file);
  if (!passed) process.exitCode = 1;
  verdicts.push(`${file}: ${passed ? 'passed at the second attempt only' : 'failed twice'}`);
}
console.log(`\n${positionals.length} files, ${positionals.length - failed.length} passed at once${verdicts.map((line) => `\n${line}`).join('')}`);
