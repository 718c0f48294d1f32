// Sends what Twilio's tools send to Twilio to the emulator at $EMULATOR, and nothing anywhere else. The Host header stays
// Twilio's, by which the emulator knows the product.
'use strict';

const http = require('node:http');
const https = require('node:https');

const emulator = new URL(process.env.EMULATOR);

https.request = (address, options, callback) => {
  const { hostname, pathname, search, username, password } = new URL(address);
  if (!/\.(twilio\.com|twil\.io)$/.test(hostname)) throw new Error(`a request to ${hostname} is none to Twilio`);
  return http.request(
    { ...options, agent: undefined, protocol: 'http:', host: emulator.hostname, hostname: emulator.hostname, port: emulator.port,
      path: pathname + search, auth: options.auth ?? `${decodeURIComponent(username)}:${decodeURIComponent(password)}`, headers: { ...options.headers, host: hostname } },
    callback,
  );
};
