// Does the least of what the Flex plugin does: configures the extension, gives it the Flex token, and turns contact_uri
// to the voice client that the heartbeat names. The test puts its configuration in.
(() => {
  const prefix = 'VOICE_CLIENT_EXTENSION_';
  const say = (type, payload) => postMessage({ type: prefix + type, payload }, location.origin);

  class StandIn {
    constructor() {
      this.name = this.uniqueName = 'stand-in';
      this.version = '0.0.0';
      this.dependencies = {};
    }

    init(flex, manager) {
      window.extension = { beat: undefined, call: undefined, say };
      const session = () => manager.store.getState().flex.session.ssoTokenPayload;
      const accountSid = manager.store.getState().flex.config.sso.accountSid;
      const giveToken = () => say('FLEX_TOKEN', { token: session().token, accountSid, expiration: session().expiration });
      let setting = false;
      addEventListener('message', async ({ source, data }) => {
        if (source !== window || !data?.type?.startsWith?.(prefix)) return;
        if (data.type === `${prefix}CONFIGURED`) giveToken();
        if (data.type === `${prefix}CALL`) window.extension.call = data.payload;
        if (data.type !== `${prefix}HEARTBEAT`) return;
        window.extension.beat = data.payload;
        window.extension.call = data.payload.call;
        const { voiceClientIdentity } = data.payload;
        const attributes = manager.workerClient.attributes;
        if (!voiceClientIdentity || setting || attributes.contact_uri === `client:${voiceClientIdentity}`) return;
        setting = true;
        await manager.workerClient.setAttributes({ ...attributes, contact_uri: `client:${voiceClientIdentity}` }).finally(() => (setting = false));
      });
      manager.events.addListener('tokenUpdated', giveToken);
      say('CONFIGURE', { accountSid, ...__CONFIGURATION__ });
    }
  }
  Twilio.Flex.Plugins.init(StandIn);
})();
