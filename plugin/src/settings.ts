// What `flexvc plugin deploy` put into the bundle; see ../embed.go for each field.

export interface Settings {
  version: string;
  tokenURL: string;
  identityPrefix: string;
  offlineActivitySID: string;
  helpURL?: string;
}

/** The argument of the function that the build wraps the bundle in. */
declare const flexvcSettings: Settings | null;

/** Null in a bundle that was not deployed by flexvc: without a token address there is nothing it could do. */
export function readSettings(): Settings | null {
  return flexvcSettings?.tokenURL ? flexvcSettings : null;
}
