// Runs a Function under Twilio's own local runtime, for tests. Standard input says how, in one line of JSON:
//   { file, environments, fork }   fork: in a process of its own for each request
// Standard output gets one line, the ports on which the Function answers with each of the environments, and then what
// the Function logs. The process ends with its input.
'use strict';

const { LocalDevelopmentServer } = require('@twilio/runtime-handler/dev');

async function start({ file, environments, fork }) {
  const ports = environments.map(
    (env) =>
      new Promise((resolve) => {
        const server = new LocalDevelopmentServer(0, {
          baseDir: __dirname, env, url: 'http://site.twil.io', port: 0, logs: false, live: false, legacyMode: false, forkProcess: fork,
          routes: { functions: [{ path: '/generateToken', filePath: file, access: 'public' }], assets: [] },
          logger: console,
        });
        const listener = server.getApp().listen(0, '127.0.0.1', () => resolve(listener.address().port));
      }),
  );
  console.log(JSON.stringify(await Promise.all(ports)));
}

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  input += text;
  if (input.endsWith('\n')) start(JSON.parse(input));
});
process.stdin.on('end', () => process.exit(0));
