import { systemClock } from './clock';
import type { Flex, Manager } from './flex';
import { start } from './plugin';
import { readSettings } from './settings';

interface Plugins {
  init(plugin: new () => { init(flex: Flex, manager: Manager): void }): void;
}

class FlexvcPlugin {
  readonly name = 'flexvc-voice-client';

  init(flex: Flex, manager: Manager): void {
    start(flex, manager, readSettings(), window, systemClock);
  }
}

// At once, while document.currentScript is this script: Flex knows the plugin by it. A second copy registers too, because
// Flex would wait ten seconds for one that does not.
(window as unknown as { Twilio: { Flex: { Plugins: Plugins } } }).Twilio.Flex.Plugins.init(FlexvcPlugin);
