// Stands for the extension's call in this page: the part of a Voice SDK call that Flex's own buttons use. It changes only when
// the extension says so, so a button never shows what has not happened.
import type { Call } from '../../messages';
import type { Extension } from '../connection/connection';

type Listener = (...args: any[]) => void;

/** What Flex shows as a network problem; the extension gives one mark, so one warning stands for it. */
const warning = 'low-mos';

export class ProxyCall {
  readonly parameters: { CallSid: string };
  readonly customParameters = new Map<string, string>();
  readonly direction = 'INCOMING';
  readonly #extension: Extension;
  readonly #disconnecting: () => void;
  readonly #listeners = new Map<string, Listener[]>();
  #call: Call;
  #ended = false;

  /** @param disconnecting  Flex, or another plugin, hangs up */
  constructor(call: Call, extension: Extension, disconnecting: () => void = () => {}) {
    this.parameters = { CallSid: call.callSid };
    this.#disconnecting = disconnecting;
    this.#call = call;
    this.#extension = extension;
  }

  // What Flex asks for.

  status(): string {
    return this.#ended ? 'closed' : this.#call.status;
  }
  isMuted(): boolean {
    return this.#call.muted;
  }
  mute(muted = true): void {
    this.#extension.setMuted(muted, this.parameters.CallSid);
  }
  sendDigits(digits: string): void {
    this.#extension.sendDigits(digits, this.parameters.CallSid);
  }
  disconnect(): void {
    this.#extension.hangUp(this.parameters.CallSid);
    this.#disconnecting();
  }
  // The extension has taken the call already, and nothing in a page may turn it away.
  accept(): void {}
  reject(): void {}
  ignore(): void {}

  // What the extension says.

  /** Returns whether muted has changed. */
  update(call: Call): boolean {
    const was = this.#call;
    this.#call = call;
    if (call.status !== was.status) {
      if (call.status === 'reconnecting') this.emit('reconnecting', new Error('the network dropped out'));
      if (was.status === 'reconnecting') this.emit('reconnected');
    }
    if (call.quality === 'poor' && was.quality !== 'poor') this.emit('warning', warning, {});
    if (call.quality !== 'poor' && was.quality === 'poor') this.emit('warning-cleared', warning);
    if (call.muted === was.muted) return false;
    this.emit('mute', call.muted, this);
    return true;
  }
  end(): void {
    this.#ended = true;
    this.emit('disconnect', this);
  }

  // The part of an EventEmitter that Flex and other plugins use.

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }
  addListener(event: string, listener: Listener): this {
    return this.on(event, listener);
  }
  once(event: string, listener: Listener): this {
    const once: Listener = (...args) => {
      this.off(event, once);
      listener(...args);
    };
    return this.on(event, once);
  }
  off(event: string, listener: Listener): this {
    this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((other) => other !== listener));
    return this;
  }
  removeListener(event: string, listener: Listener): this {
    return this.off(event, listener);
  }
  removeAllListeners(event?: string): this {
    if (event === undefined) this.#listeners.clear();
    else this.#listeners.delete(event);
    return this;
  }
  emit(event: string, ...args: unknown[]): boolean {
    const all = this.#listeners.get(event) ?? [];
    for (const listener of all) {
      // Another plugin's, perhaps: the call goes on whatever it thinks of that.
      try {
        listener(...args);
      } catch (cause) {
        console.info(`flexvc: somebody who listens for ${event} failed`, cause);
      }
    }
    return all.length > 0;
  }
}
