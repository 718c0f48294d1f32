// Flex's own device menu chooses for the tab; the call is in the extension. The choice goes there, by label, because the ids a
// page sees are its origin's alone.
import type { AudioHelper, DeviceSet } from '../../flex';
import type { DeviceKind } from '../../messages';
import { type Feature, together } from '../../outside';
import type { Extension } from '../connection/connection';

/** Chrome's names for the system's choice. */
const systemDefault = ['default', 'communications', ''];

export const devices: Feature<{ extension: Extension }> = ({ manager, page, extension, log }) => {
  const audio = manager.voiceClient?.audio;
  if (!audio) {
    log('Flex has no audio devices of its own: choose them in the voice extension');
    return () => {};
  }

  async function choose(kind: DeviceKind, id: string) {
    if (systemDefault.includes(id)) return extension.chooseDevice(kind, '');
    const label = (await page.navigator.mediaDevices.enumerateDevices()).find(({ deviceId }) => deviceId === id)?.label;
    // Flex then says that the choice failed.
    if (!label) throw new Error('the page may not know the names of audio devices');
    extension.chooseDevice(kind, label);
  }

  const replaceSet = (devices: DeviceSet | undefined, kind: DeviceKind) => {
    if (!devices) return () => {};
    const set = devices.set;
    return replace(devices, 'set', (ids: string | string[]) => {
      // Not the agent's choice: while it knows of none, the Voice SDK takes the default whenever a device comes or goes.
      const ofItself = devices.get?.().size === 0 && page.navigator.userActivation?.isActive === false;
      return ofItself ? set.call(devices, ids) : choose(kind, [ids].flat()[0] ?? '');
    });
  };
  return together(
    replace(audio as AudioHelper, 'setInputDevice', (id: string) => choose('input', id)),
    replaceSet(audio.speakerDevices, 'output'),
    replaceSet(audio.ringtoneDevices, 'ringtone'),
  );
};

/** Shadows a method, and takes the shadow away again. */
function replace<T extends object, K extends keyof T>(object: T, name: K, method: T[K]): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  object[name] = method;
  return () => {
    if (own) Object.defineProperty(object, name, own);
    else delete object[name];
  };
}
