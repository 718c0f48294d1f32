// The part of Flex UI 2 that this plugin touches. Flex's own types come with 700 MB of packages; these are written from its
// published declarations, and the suite in the real Flex UI holds them to the truth.
import type { ComponentType, ReactElement, ReactNode } from 'react';

export type Payload = Record<string, any>;
export type ActionListener = (payload: Payload, abort: () => void) => unknown;

export interface Content {
  add(element: ReactElement, options?: Payload): void;
  remove(key: string, options?: Payload): void;
}

export interface Flex {
  Actions: {
    addListener(event: string, listener: ActionListener): void;
    removeListener(event: string, listener: ActionListener): void;
    invokeAction(action: string, payload?: Payload): Promise<unknown>;
  };
  Notifications: {
    registerNotification(notification: Payload): void;
    showNotificationSingle(id: string): unknown;
    dismissNotificationById(id: string): void;
  };
  /** Names this load of the page; Flex sends it with each Accept. */
  getSessionIdentifier?(): string;
  MainHeader: { Content: Content };
  CallCanvasActions: { Content: Content };
  TaskCanvasHeader?: { Content: Content };
  /** Gives a component the theme that the account, or another plugin, has chosen; also when it changes. */
  withTheme?(component: ComponentType<{ theme?: Theme; children?: ReactNode }>): ComponentType<{ children?: ReactNode }>;
}

/** As much of it as is drawn with here; an older release has fewer tokens. */
export interface Theme {
  tokens?: Record<string, Record<string, string>>;
  MainHeader?: { Container?: { background?: string; color?: string } };
}

export interface Activity {
  sid: string;
  name: string;
  available: boolean;
}

export interface Participant {
  isCurrentWorker?: boolean;
  callSid?: string;
  status?: string;
}

export interface Task {
  sid: string;
  status: string;
  taskChannelUniqueName?: string;
  /** Whom Flex shows. */
  defaultFrom?: unknown;
  /** Whatever the makers of the task put in: every part may be missing, or something else. */
  attributes?: { call_sid?: unknown; direction?: unknown; name?: unknown; from?: unknown; outbound_to?: unknown; conference?: { participants?: { worker?: string } } };
  conference?: { participants?: Participant[] };
}

export interface FlexState {
  config: { sso?: { accountSid?: string }; disableBrowserVoice?: boolean; language?: string };
  session: { ssoTokenPayload?: { token?: string; expiration?: string; identity?: string } };
  worker: { activity?: Activity; activities?: Map<string, Activity>; tasks?: Map<string, Task> };
  phone: { activeCall?: unknown; listener?: { isMicrophoneSet?: boolean; microphoneID?: string } };
  /** status: 0 for no listening in, 1 while Flex waits for its call, 2 while it lasts. */
  supervisor?: { callMonitoring?: { status?: number } };
  view?: { isOutboundDialerOpen?: boolean; selectedTaskSid?: string };
}

interface Emitter {
  addListener(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
}

export interface WorkerClient extends Emitter {
  sid: string;
  attributes: Record<string, unknown>;
  setAttributes(attributes: Record<string, unknown>): Promise<unknown>;
  channels?: Map<string, { taskChannelUniqueName: string; capacity: number }>;
  fetchLatestVersion?(): Promise<unknown>;
}

export interface Manager {
  store: { getState(): { flex: FlexState }; dispatch(action: { type: string; payload?: unknown }): unknown; subscribe(listener: () => void): () => void };
  workerClient: WorkerClient | undefined;
  voiceClient: { audio?: AudioHelper | null } | undefined;
  events: Emitter;
  strings: Record<string, string>;
  /** Not in older releases. The source is 'flex default' where nobody has chosen. */
  localization?: { localeTag?: string; localeSource?: string };
  serviceConfiguration: { account_sid?: string };
}

/** The Voice SDK's, as Flex's own device menu calls it. */
export interface AudioHelper {
  setInputDevice(deviceId: string): Promise<void>;
  speakerDevices?: DeviceSet;
  ringtoneDevices?: DeviceSet;
}

export interface DeviceSet {
  get?(): { size: number };
  set(deviceIds: string | string[]): Promise<void>;
}
