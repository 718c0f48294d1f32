// Sends what Twilio's tools send to Twilio to the emulator at $EMULATOR, and nothing anywhere else. The Host header stays
// Twilio's, by which the emulator knows the product.
'use strict';

const http = require('node:http');
const https = require('node:https');

const emulator = new URL(process.env.EMULATOR);

/** What was asked for, whichever of Node's two ways of asking it: an address with options, or options alone. */
function asked(address, options) {
  if (typeof address === 'string' || address instanceof URL) {
    const { hostname, pathname, search, username, password } = new URL(address);
    return { ...options, hostname, path: pathname + search, auth: options.auth ?? (username && `${decodeURIComponent(username)}:${decodeURIComponent(password)}`) };
  }
  return address;
}

https.request = (address, ...rest) => {
  const callback = rest.findLast((argument) => typeof argument === 'function');
  const { hostname, path, auth, ...options } = asked(address, typeof rest[0] === 'object' ? rest[0] : {});
  if (!/\.(twilio\.com|twil\.io)$/.test(hostname)) throw new Error(`a request to ${hostname} is none to Twilio`);
  return http.request(
    { ...options, agent: undefined, agents: undefined, protocol: 'http:', host: emulator.hostname, hostname: emulator.hostname, port: emulator.port,
      path, auth: auth || undefined, headers: { ...options.headers, host: hostname } },
    callback,
  );
};
