'use strict';

const net = require('node:net');

// Twilio's hosts are the emulator, and nothing else is farther away than this machine.
function network(port) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const [options, done] = Array.isArray(args[0]) ? args[0] : net._normalizeArgs(args);
    const host = String(options.host ?? 'localhost').toLowerCase();
    if (options.path || /^(localhost|127(\.\d+){3}|::1)$/.test(host)) return connect.call(this, options, done);
    if (host.endsWith('.twilio.com') && Number(options.port) === 443) {
      return connect.call(this, { ...options, host: '127.0.0.1', port, lookup: undefined }, done);
    }
    const error = new Error(`connect to ${host}: the emulator lets a Function reach Twilio, on port 443, and this machine only`);
    error.code = 'ECONNREFUSED';
    process.nextTick(() => this.destroy(error));
    return this;
  };
}

module.exports = { network };
