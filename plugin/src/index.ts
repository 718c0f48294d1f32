import { systemClock } from './clock';
import type { Flex, Manager } from './flex';
import { start } from './plugin';
import { readSettings } from './settings';
import { withLanguage } from './words';

interface Global {
  Twilio: { Flex: Flex & { Plugins: { init(plugin: new () => { init(flex: Flex, manager: Manager): void | Promise<void> }): void }; Manager?: { getInstance(): Manager } } };
}

/** Other plugins before this one get as long; Flex gives all of them together ten seconds before it shows the desktop. */
const patience = 3_000;
const page = window as unknown as Window & Global;
let begun = false;

function begin(flex: Flex, manager: Manager): void | Promise<void> {
  if (begun) return undefined;
  begun = true;
  return withLanguage(manager, (language) => void start(flex, manager, readSettings(), window, systemClock, language));
}

class FlexvcPlugin {
  readonly name = 'flexvc-voice-client';

  /** Flex waits for what it returns. */
  init(flex: Flex, manager: Manager): void | Promise<void> {
    return begin(flex, manager);
  }
}

// At once, while document.currentScript is this script: Flex knows the plugin by it. A second copy registers too, because
// Flex would wait ten seconds for one that does not.
page.Twilio.Flex.Plugins.init(FlexvcPlugin);

// Flex starts plugins one after another, and never those behind one that neither succeeds nor fails. Calls come all the same.
page.setTimeout(() => {
  const manager = begun ? undefined : page.Twilio.Flex.Manager?.getInstance();
  if (!manager) return;
  console.info('flexvc: Flex has not started this plugin, because another one before it does not finish; starting without Flex');
  void begin(page.Twilio.Flex, manager);
}, patience);
