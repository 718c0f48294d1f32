// As much of Twilio as one call needs: a Flex page, the token endpoint, voice signalling over TLS, and a peer for the
// media, which is a connection in another page of the same browser. Loopback only.
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTLS } from 'node:https';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';

const flexPage = `<!doctype html><title>Flex</title><script>
  window.heard = [];
  addEventListener('message', (event) => { if (event.source === window) heard.push(event.data); });
  window.say = (type, payload) => postMessage({ type, payload }, location.origin);
</script>`;

/** @param {import('node:net').Server} server @returns {Promise<number>} */
const listen = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(/** @type {any} */ (server.address()).port)));

function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'flexvc-edge-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=twilio.com',
    '-addext', 'subjectAltName=DNS:*.twilio.com,DNS:*.roaming.twilio.com', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const pem = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  const spki = new X509Certificate(pem.cert).publicKey.export({ type: 'spki', format: 'der' });
  return { pem, pin: createHash('sha256').update(spki).digest('base64') };
}

export async function startEdge() {
  const { pem, pin } = certificate();
  const marks = /** @type {Record<string, number>} */ ({});
  const edge = {
    marks,
    /** Every frame of signalling, with the socket it came on. @type {{ socket: any, type: string, payload: any }[]} */
    frames: [],
    sockets: new Set(),
    tokens: /** @type {{ method: string, url: string, body: string, origin: string }[]} */ ([]),
    /** @type {(sdp: string) => Promise<string>} */
    answer: async () => '',
    ttl: 3600,
    registered: /** @type {any} */ (undefined),
    owner: /** @type {any} */ (undefined),
    /** The call that was taken over last: an invite for it is a reconnection. */
    taken: '',
    /** Calls whose caller is gone. @type {Set<string>} */
    dead: new Set(),
  };

  const tls = createTLS(pem.key ? { key: pem.key, cert: pem.cert } : {}, (request, response) => {
    const flex = request.headers.host?.startsWith('flex.');
    response.writeHead(flex ? 200 : 204, { 'Content-Type': 'text/html', 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'content-type,x-twilio-token' });
    response.end(flex ? flexPage : undefined);
  });
  const signalling = new WebSocketServer({ server: tls, path: '/signal', perMessageDeflate: false });
  signalling.on('connection', (socket) => {
    edge.sockets.add(socket);
    const send = (type, payload = {}) => socket.readyState === 1 && socket.send(JSON.stringify({ type, version: '1.6', payload }));
    Object.assign(socket, { say: send });
    const beat = setInterval(() => socket.readyState === 1 && socket.send('\n'), 10_000);
    socket.on('close', () => {
      clearInterval(beat);
      edge.sockets.delete(socket);
      if (edge.registered === socket) edge.registered = undefined;
    });
    socket.on('message', async (data) => {
      if (String(data) === '\n') return;
      const { type, payload } = JSON.parse(String(data));
      edge.frames.push({ socket, type, payload });
      if (type === 'listen') send('connected', { edge: 'roaming', gateway: 'gw', region: 'US_EAST_VIRGINIA', home: 'us1', token: { identity: 'ext_alice', ttl: edge.ttl } });
      if (type === 'register') {
        if (payload.media.audio) edge.registered = socket;
        send(payload.media.audio ? 'ready' : 'offline');
      }
      if (type === 'invite') {
        const { callsid } = payload;
        if (edge.dead.has(callsid)) return send('hangup', { callsid, error: { code: 31404, message: 'gone' } });
        const again = edge.taken === callsid;
        edge.taken = callsid;
        marks['takeover'] ??= performance.now();
        if (!again) edge.sdp = await edge.answer(payload.sdp);
        // The caller gave up while the answer was being made.
        if (edge.dead.has(callsid)) return send('hangup', { callsid });
        edge.owner = socket;
        send('answer', { callsid, sdp: edge.sdp, reconnect: payload.reconnect });
        if (!again && edge.registered !== socket) edge.registered?.say('cancel', { callsid });
      }
      if (type === 'hangup') edge.owner = undefined;
    });
  });

  const tokens = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      edge.tokens.push({ method: request.method ?? '', url: request.url ?? '', body, origin: request.headers.origin ?? '' });
      response.writeHead(200, { 'Content-Type': 'application/json', 'Access-Control-Allow-Origin': request.headers.origin ?? '*' });
      response.end(JSON.stringify({ identity: 'ext_alice', token: 'made.up.token', ttl: edge.ttl }));
    });
  });

  const tlsPort = await listen(tls);
  const tokenPort = await listen(tokens);
  return Object.assign(edge, {
    sdp: '',
    tokenURL: `http://127.0.0.1:${tokenPort}/generateToken`,
    flags: [
      `--host-resolver-rules=MAP *.twilio.com 127.0.0.1:${tlsPort}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${pin}`,
    ],
    /** Offers a call to the registered client. @param {string} callsid */
    ring(callsid) {
      delete marks['takeover'];
      edge.owner = undefined;
      marks['invite'] = performance.now();
      edge.registered.say('invite', { callsid, sdp: 'v=0', reconnect: `reconnect-${callsid}`, parameters: { AccountSid: 'AC1', CallSid: callsid, From: '+15550100', To: 'client:ext_alice', Params: '' } });
    },
    close() {
      for (const socket of edge.sockets) socket.terminate();
      tls.closeAllConnections();
      tls.close();
      tokens.closeAllConnections();
      tokens.close();
    },
  });
}

/** Answers offers as Twilio's media would, inside a page. @param {any} page */
export const answerIn = (page) => (/** @type {string} */ sdp) =>
  page.evaluate(async (offer) => {
    window.peer?.close();
    const peer = (window.peer = new RTCPeerConnection());
    const tone = new AudioContext().createMediaStreamDestination();
    peer.addTrack(tone.stream.getAudioTracks()[0], tone.stream);
    await peer.setRemoteDescription({ type: 'offer', sdp: offer });
    await peer.setLocalDescription(await peer.createAnswer());
    if (peer.iceGatheringState !== 'complete') {
      await new Promise((resolve) => peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && resolve(undefined)));
    }
    return peer.localDescription.sdp;
  }, sdp);
