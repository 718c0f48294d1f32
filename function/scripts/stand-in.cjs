// Loaded before anything else, in each process: twilio.com is a server on this machine, on the port that the
// environment names.
'use strict';

require('../../internal/emulator/functions/network.js').network(Number(process.env.FLEXVC_TEST_TWILIO));
