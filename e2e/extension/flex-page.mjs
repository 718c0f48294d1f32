// A page that does what the Flex plugin does: it configures the extension when it loads, and answers CONFIGURED, each
// time, with the Flex token of the moment.
export const flexPage = (configuration) => `<!doctype html><title>Flex</title><script>
  const prefix = 'VOICE_CLIENT_EXTENSION_';
  window.latest = {};   // the latest payload by type
  window.changes = [];  // every CALL and DISCONNECTED, with when it came
  window.say = (type, payload) => postMessage({ type: prefix + type, payload }, location.origin);
  window.answers = true;
  addEventListener('message', async (event) => {
    if (event.source !== window || !event.data.type?.startsWith(prefix)) return;
    const type = event.data.type.slice(prefix.length);
    latest[type] = event.data.payload;
    // A page that was away when the call changed hears of it here.
    if (type === 'HEARTBEAT') latest.CALL = event.data.payload.call;
    if (type === 'CALL' || type === 'DISCONNECTED') changes.push({ type, payload: event.data.payload, at: Date.now() });
    if (type !== 'CONFIGURED' || !answers) return;
    say('FLEX_TOKEN', await (await fetch('/session')).json());
  });
  say('CONFIGURE', ${JSON.stringify(configuration)});
</script>`;
