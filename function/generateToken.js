// flexvc serve as a Twilio Function: see README.md
'use strict';

const { createHmac, randomBytes, randomInt } = require('node:crypto');
const { STATUS_CODES } = require('node:http');

const refusals = {};
for (const [, status, code, detail] of `
400 missing-token: send the Flex token as the field Token or as Authorization: Bearer
400 malformed-token: the token is not a Flex token
400 malformed-request: the request could not be read
403 origin-not-allowed: this origin may not request tokens
403 prefix-not-allowed: VoiceClientPrefix is not the prefix this server uses
403 flex-token-refused: Twilio does not accept the Flex token
403 flex-token-expired: the Flex token has expired
403 other-account: the Flex token belongs to another account
403 role-missing: the agent has none of the required roles
403 worker-not-allowed: the agent is not on this server's allow-list
403 worker-not-enabled: the agent is not enabled for the extension: extensionVoiceClientEnabled is not true
403 identity-unusable: the agent's identity is not valid for Twilio Voice: at most 256 letters, digits and underscores
405 method-not-allowed: method not allowed
413 too-large: the request is too large
415 unsupported-media-type: send application/x-www-form-urlencoded or application/json
500 internal: internal error
502 validator-nonsense: Twilio's answer about the Flex token could not be understood
502 validator-credentials-refused: Twilio does not accept this server's own credentials
503 validator-timeout: Twilio did not answer in time
503 validator-failing: Twilio cannot check Flex tokens right now
503 validator-busy: Twilio is rate-limiting this server
503 validator-unreachable: Twilio could not be reached
503 worker-lookup-failed: the agent's attributes could not be read
`.matchAll(/(\d+) (\S+): (.*)/g)) refusals[code] = [Number(status), detail];

function refuse(code, more, seconds) {
  throw { code, more, seconds };
}

exports.handler = async (context, event, callback) => {
  const requestId = randomBytes(4).toString('hex').toUpperCase();
  const headers = { 'X-Request-Id': requestId, Vary: 'Origin', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
  const answer = (status, log, type, body) => {
    console[status < 400 ? 'info' : status < 500 ? 'warn' : 'error'](JSON.stringify({ ...log, requestId }));
    const response = new Twilio.Response().setStatusCode(status).setBody(body);
    callback(null, response.setHeaders({ 'Content-Type': type, ...headers }));
  };
  try {
    const issued = await exchange(settings(context), event, headers);
    answer(200, { identity: issued.identity }, 'application/json', issued);
  } catch ({ code: reason, more, seconds, name }) {
    const code = reason in refusals ? reason : 'internal';
    const [status, detail] = refusals[code];
    const log = { code, ...(code === reason ? more : { bug: name }) };
    if (seconds) headers['Retry-After'] = String(seconds + randomInt(seconds + 1));
    const title = status === 413 ? 'Request Entity Too Large' : STATUS_CODES[status];
    const body = { type: 'urn:flexvc:problem:' + code, title, status, code, detail, requestId };
    answer(status, log, 'application/problem+json', JSON.stringify(body) + '\n');
  }
};

function settings(context) {
  const get = (name) => context['FLEXVC_' + name];
  const text = (name, form = /./, usual = '', value = get(name) ?? usual) => (form.test(value) ? value : refuse('internal', { variable: name }));
  const flag = (name) => text(name, /^(true|false|)$/) === 'true';
  const list = (name) => get(name)?.split(',');
  return {
    account: text('ACCOUNT_SID'),
    key: text('API_KEY'),
    secret: get(get('API_KEY')) || text('API_SECRET'),
    prefix: text('IDENTITY_PREFIX', /./, 'ext_'),
    ttl: Number(text('TOKEN_TTL', /^[1-9]\d{0,4}$/, '3600')),
    capped: flag('CAP_TO_FLEX_TOKEN'),
    allowGet: flag('ALLOW_GET'),
    origins: list('ALLOW_ORIGIN'),
    roles: list('REQUIRE_ROLE'),
    workers: list('ALLOW_WORKER'),
    workspace: flag('REQUIRE_ENABLED') && text('WORKSPACE_SID'),
    flex: text('VALIDATE_VIA', /^(iam|flex)$/, 'iam') === 'flex',
  };
}

const unread = () => refuse('malformed-request');

async function exchange(set, event, answer) {
  const headers = event.request?.headers ?? unread();
  const [length, type, encoding = 'identity'] = ['length', 'type', 'encoding'].map((name) => [headers['content-' + name]].flat()[0]);
  if (length > 32768) refuse('too-large');
  if ('origin' in headers) {
    if (!set.origins?.includes(headers.origin || '*')) refuse('origin-not-allowed');
    answer['Access-Control-Allow-Origin'] = headers.origin;
    answer['Access-Control-Expose-Headers'] = 'Retry-After, X-Request-Id';
  }
  const get = length === undefined && type === undefined; // the method is not told
  if (get && !set.allowGet) {
    answer.Allow = 'OPTIONS, POST';
    refuse('method-not-allowed');
  }
  const known = /^application\/(json|x-www-form-urlencoded)( *; *charset="?utf-8"?)?$/i.test(type);
  if (!get && (encoding !== 'identity' || (length !== '0' && !known))) refuse('unsupported-media-type');
  const field = (name) => {
    const value = event[name] ?? undefined;
    if (typeof (value ?? '') !== 'string') unread();
    return length <= name.length + value?.length ? undefined : value; // from the address
  };
  const fields = ['Token', 'VoiceClientPrefix'];
  for (const key in event) if (/^(token|voiceclientprefix)$/i.test(key) && !fields.includes(key)) unread();
  const [named, prefix = set.prefix] = fields.map(field);
  const token = /^bearer ([^,]*)$/i.exec(headers.authorization)?.[1].trim() ?? named;
  if (named && named !== token) unread();
  if (!token) refuse('missing-token');
  if (prefix !== set.prefix) refuse('prefix-not-allowed');
  if (!/^(?!.{16385})eyJ[\w-]*(\.[\w-]*\.[\w-]*){1,2}$/.test(token)) refuse('malformed-token');

  const agent = await validate(set, token);
  const identity = set.prefix + agent.identity;
  if (!/^\w{1,256}$/.test(identity)) refuse('identity-unusable');
  await admit(set, agent);
  return mint(set, identity, agent.expires);
}

// Why so: see README.md
async function ask(address, user, password, body) {
  const headers = { Connection: 'close', Authorization: 'Basic ' + btoa(user + ':' + password) };
  const signal = AbortSignal.timeout(4000);
  let status;
  try {
    const answer = await fetch(address, { method: body && 'POST', body, headers, signal, redirect: 'manual' });
    status = answer.status;
    return { status, wait: answer.headers.get('Retry-After'), text: await answer.text() };
  } catch {
    refuse(signal.aborted ? 'validator-timeout' : 'validator-unreachable', { status }, 2);
  }
}

async function validate({ account, key, secret, flex, capped }, token) {
  const { status, wait, text } = await (flex
    ? ask(`https://flex-api.twilio.com/v1/Accounts/${account}/Tokens/Info`, 'token', token, new URLSearchParams({ Token: token }))
    : ask(`https://iam.twilio.com/v1/Accounts/${account}/Tokens/validate`, key, secret, new Blob([JSON.stringify({ token })], { type: 'application/json' })));
  if (status === 429) refuse('validator-busy', { status }, /^[1-9]\d*$/.test(wait) ? Math.min(wait, 60) : 2);
  if (status === 408 || status >= 500) refuse('validator-failing', { status }, 2);
  let said;
  try {
    said = JSON.parse(text);
  } catch {}
  if (!said || /^3/.test(status)) refuse('validator-nonsense', { status });
  const { valid, message, identity, expiration, account_sid: owner, worker_sid: worker, roles } = said;
  const code = +said.code || 0;
  const no = (reason) => refuse(reason, { status, upstream: code });
  // Basic failed; with flex the token is the password.
  if (status >= 400 && valid == null && code === 20003 && !flex) no('validator-credentials-refused');
  if (status >= 400 ? valid != null || code || message : valid === false) {
    no(code === 20104 || /expired/i.test(message) ? 'flex-token-expired' : 'flex-token-refused');
  }
  if (status >= 400 || (valid ?? flex) !== true || !identity || typeof identity !== 'string' || !Array.isArray(roles ?? [])) no('validator-nonsense');
  if (owner && owner !== account) no('other-account');
  const expires = Date.parse(/T.*(Z|[+-]\d\d:\d\d)$/.exec(expiration)?.input);
  if (expiration ? isNaN(expires) : capped) no('validator-nonsense');
  if (expires <= Date.now()) no('flex-token-expired');
  return { identity, expires, roles, worker };
}

async function admit({ roles, workers, workspace, key, secret }, agent) {
  if (roles && !agent.roles?.some((role) => role && roles.includes(role))) refuse('role-missing');
  if (workers && ![agent.identity, agent.worker].some((name) => name && workers.includes(name))) refuse('worker-not-allowed');
  if (!workspace) return;
  if (!agent.worker) refuse('worker-not-enabled');
  const address = `https://taskrouter.twilio.com/v1/Workspaces/${workspace}/Workers/${encodeURIComponent(agent.worker)}`;
  let attributes;
  try {
    attributes = JSON.parse(JSON.parse((await ask(address, key, secret)).text).attributes);
  } catch ({ more }) {
    refuse('worker-lookup-failed', more, 2);
  }
  if (attributes?.extensionVoiceClientEnabled !== true) refuse('worker-not-enabled');
}

function mint({ account, key, secret, ttl, capped }, identity, agentExpires) {
  const iat = Math.floor(Date.now() / 1000);
  const exp = Math.min(iat + ttl, capped ? Math.floor(agentExpires / 1000) : Infinity);
  if (exp <= iat) refuse('flex-token-expired');
  const header = { alg: 'HS256', typ: 'JWT', cty: 'twilio-fpa;v=1' };
  const claims = { jti: `${key}-${iat}`, grants: { identity, voice: { incoming: { allow: true } } }, iat, exp, iss: key, sub: account };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const token = text + '.' + createHmac('sha256', secret).update(text).digest('base64url');
  return { identity, token, ttl: exp - iat, expiresAt: new Date(exp * 1000).toISOString().replace('.000', '') };
}
