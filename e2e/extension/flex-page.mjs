// A page that does what the Flex plugin does: it configures the extension when it loads, and again and again while nothing
// answers; and it answers CONFIGURED, each time, with the Flex token of the moment.
export const flexPage = (configuration) => `<!doctype html><title>Flex</title><script>
  const prefix = 'VOICE_CLIENT_EXTENSION_';
  window.latest = {};   // the latest payload by type
  window.changes = [];  // every CALL and DISCONNECTED, with when it came
  window.problems = []; // every change of the heartbeat's problem, with when it came
  window.say = (type, payload) => {
    if (type === 'CONFIGURE') window.configuration = payload;
    postMessage({ type: prefix + type, payload }, location.origin);
  };
  window.answers = true;
  window.insists = true; // a plugin of the original extension configures once
  let up = false;
  window.session = crypto.randomUUID(); // as Flex names each load of its page
  window.configuration = { ...${JSON.stringify(configuration)}, sessionIdentifier: session };
  const configure = () => say('CONFIGURE', window.configuration);
  addEventListener('message', async (event) => {
    if (event.source !== window || !event.data.type?.startsWith(prefix)) return;
    const type = event.data.type.slice(prefix.length);
    const problem = event.data.payload?.problem ?? null;
    if (type === 'HEARTBEAT' && problem !== (latest[type]?.problem ?? null)) problems.push({ problem, at: Date.now() });
    latest[type] = event.data.payload;
    if (['CONFIGURED', 'CONFIG_REJECTED', 'HEARTBEAT', 'DISCONNECTED'].includes(type)) up = type === 'CONFIGURED' || type === 'HEARTBEAT';
    // A page that was away when the call changed hears of it here.
    if (type === 'HEARTBEAT') latest.CALL = event.data.payload.call;
    if (type === 'HEARTBEAT') window.beatAt = Date.now();
    if (type === 'CALL' || type === 'DISCONNECTED') changes.push({ type, payload: event.data.payload, at: Date.now() });
    if (type !== 'CONFIGURED' || !answers) return;
    say('FLEX_TOKEN', await (await fetch('/session')).json());
  });
  configure();
  setInterval(() => !up && insists && configure(), 2000);
</script>`;
