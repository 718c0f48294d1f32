// The Voice SDK as a plain script: a global, as its own page describes.
declare var Twilio: { Device: DeviceClass };
type DeviceClass = typeof import('@twilio/voice-sdk').Device;

// Names for what a parameter of the same name would otherwise hide.
type Chrome = typeof chrome;
type ChromeStorage = typeof chrome.storage;
type Fetch = typeof fetch;
