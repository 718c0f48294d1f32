// Every sentence an agent reads, in English, from which ./languages translate. Flex's own strings hold them too, under flexvc.NAME, and
// what somebody has put there is what the agent reads: see words.ts.

export interface Sentence {
  /** A few words: the badge's. */
  title: string;
  /** What it means and what to do: notifications and the badge's menu. */
  text: string;
}

export const problems = {
  no_extension: {
    title: 'No voice extension',
    text: 'The voice extension is not running in this browser, so calls cannot reach you. Turn it on under chrome://extensions, or ask your administrator to install it.',
  },
  lost: {
    title: 'Voice extension gone',
    text: 'The voice extension stopped answering. It comes back by itself after an update; if this stays for more than a few seconds, reload this page.',
  },
  other_account: {
    title: 'Wrong account',
    text: 'The voice extension is serving another Twilio account. Open it from the toolbar, choose Restart, and then reload this page.',
  },
  url_not_allowed: {
    title: 'Not allowed',
    text: 'Your administrator does not allow the voice extension to use this Flex\'s token service. Please tell them.',
  },
  bad_config: {
    title: 'Not set up',
    text: 'The voice extension could not use its settings. Ask your administrator to deploy the Flex plugin again.',
  },
  other_agent: {
    title: 'Another agent signed in',
    text: 'The voice extension is still signed in as another agent. If this does not pass in a minute, open it from the toolbar and choose Restart.',
  },
  microphone: {
    title: 'No microphone',
    text: 'The voice extension may not use a microphone, or there is none. Plug in a headset, or open the extension from the toolbar and allow the microphone.',
  },
  microphone_denied: {
    title: 'Microphone blocked',
    text: 'This browser does not let the voice extension use the microphone, so calls cannot reach you. Open the extension from the toolbar: it says how to allow it.',
  },
  microphone_missing: {
    title: 'No microphone',
    text: 'The voice extension finds no microphone, so calls cannot reach you. Plug in a headset, and calls come again by themselves.',
  },
  microphone_prompt: {
    title: 'Microphone not allowed yet',
    text: 'The voice extension may not use the microphone yet, so calls cannot reach you. Open it from the toolbar and allow the microphone.',
  },
  consent: {
    title: 'Confirm once',
    text: 'The voice extension asks whether it may sign you in for calls. Open it from the toolbar, look at the account and the address, and choose Allow.',
  },
  token_service: {
    title: 'Cannot sign in',
    text: 'The voice extension cannot get its permission to take calls, because the token service does not answer or its answer is of no use. It keeps trying; tell your administrator if this lasts.',
  },
  flex_token: {
    title: 'Sign in again',
    text: 'Your Flex session has expired, so calls will soon not reach you. Save your work, log out of Flex and log in again.',
  },
  signalling: {
    title: 'No connection',
    text: 'The voice extension has lost its connection to Twilio. It comes back by itself; check your network if it does not.',
  },
  browser_voice_disabled: {
    title: 'Flex refuses calls',
    text: 'Flex is set up without voice in the browser, so it refuses every call you accept. Ask your administrator to remove disableBrowserVoice from its configuration.',
  },
  contact_uri_missing: {
    title: 'Not reachable yet',
    text: 'Flex has no address to send your calls to. It is set as soon as the voice extension is ready.',
  },
  contact_uri_contested: {
    title: 'Calls may go astray',
    text: 'Another program keeps changing where Flex sends your calls. Tell your administrator: calls may not reach you.',
  },
  stranded: {
    title: 'Not taking calls',
    text: 'Calls reach you again, but you are still in the activity for when they do not.',
  },
  offline_activity_missing: {
    title: 'Setup incomplete',
    text: 'You stay available even when calls cannot reach you, because the activity for that is missing. Ask your administrator to run flexvc init.',
  },
} satisfies Record<string, Sentence>;

export type Problem = keyof typeof problems;

/** Short-lived, because Flex draws them over the first task. */
export const notices = {
  voice_client_back: 'The voice extension is ready again.',
  offline_activity_chosen: 'This activity is set automatically while calls cannot reach you. Please choose another one.',
  available_while_away: 'Calls cannot reach you yet. You will become available as soon as the voice extension is ready.',
  outbound_refused: 'You cannot place calls right now, because the voice extension is not ready. Its badge at the top of the page says why.',
} satisfies Record<string, string>;

export type Notice = keyof typeof notices;

/** The badge and its menu. {{what stands like this}} is filled in. */
export const badge = {
  label: 'Voice extension',
  ready: 'Voice ready',
  readyText: 'Calls come to the voice extension: you can reload or close Flex without losing them.',
  starting: 'Voice connecting',
  startingText: 'Waiting for the voice extension.',
  incoming: 'Incoming call',
  incomingText: 'Somebody is calling, and nobody has answered yet.',
  offeredBy: 'Incoming call from {{caller}}',
  answer: 'Answer',
  holdAndAnswer: 'Hold and answer',
  decline: 'Decline',
  onHold: 'On hold',
  onHoldWith: 'On hold: {{caller}}',
  resume: 'Resume',
  resumeTask: 'On hold: resume',
  beside: 'In a call, {{count}} on hold',
  call: 'In a call',
  callText: 'The call is in the voice extension: you can reload Flex without losing it.',
  talkingTo: 'With {{caller}}',
  reconnecting: 'Reconnecting',
  reconnectingText: 'The network dropped out. The call comes back by itself.',
  muted: 'Muted',
  mutedText: 'The caller cannot hear you.',
  poor: 'The connection is poor: the caller may have trouble hearing you.',
  microphone: 'Microphone',
  speaker: 'Speaker',
  standardDevice: 'System default',
  mute: 'Mute',
  unmute: 'Unmute',
  hangUp: 'Hang up',
  keypad: 'Keypad',
  typed: 'Digits sent',
  acceptRefused: 'The call was not accepted, because it would not have reached you. It is still in your list.',
  takeCalls: 'Take calls again',
  close: 'Close',
  help: 'Help',
  helpText: 'The voice extension has a window of its own: click its icon in the toolbar for details, a microphone test and a restart.',
  version: 'Plugin {{plugin}}, extension {{extension}}',
  versionUnknown: 'Plugin {{plugin}}, extension unknown',
} satisfies Record<string, string>;
