// Points the worker's contact_uri at the extension, or back at the tab. Only that key changes, and only from one client to another:
// the address of a desk phone is not ours to lose. TaskRouter replaces the whole attributes document, so the freshest one is fetched
// right before each write.
import type { Outside } from '../../outside';
import { together } from '../../outside';

/** Another writer may undo us this often within a minute; then it is left alone for a while, and the agent is told. */
const mostRepeats = 3;
const within = 60_000;
const truceFor = 300_000;
const retryAfter = 5_000;
const lookEvery = 1_000;
/** Flex takes the answer to our write for the newest, also where another's write has overtaken it: Twilio is asked once more. */
const verifyAfter = 3_000;

export const isEnabled = (attributes: Record<string, unknown> | undefined): boolean => attributes?.extensionVoiceClientEnabled === true;

/** Where `flexvc workers enable --include-foreign` keeps the address of a phone; then it may be replaced. */
const formerURI = 'extensionVoiceClientFormerContactUri';

/** Calls of this worker ring a phone, and not a client of the Voice SDK. */
export function isForeign(attributes: Record<string, unknown> | undefined): boolean {
  const uri = attributes?.contact_uri;
  if (attributes && formerURI in attributes && JSON.stringify(attributes[formerURI]) === JSON.stringify(uri)) return false;
  return uri !== undefined && uri !== null && uri !== '' && !(typeof uri === 'string' && uri.startsWith('client:'));
}

const withoutQuery = (uri: unknown): string | null => (typeof uri === 'string' ? uri.split('?')[0]! : null);

export function contactURI({ manager, clock, settings, board, log }: Omit<Outside, 'words'>): () => void {
  const worker = manager.workerClient;
  if (!worker) return () => {};
  const own = () => manager.store.getState().flex.session.ssoTokenPayload?.identity;

  let writing = false;
  let stopped = false;
  let notBefore = 0;
  let verifyAt = Infinity;
  let written: string | null = null;
  let repeats: number[] = [];

  /** What contact_uri should be; null to leave it alone. */
  function wanted(): string | null {
    const identity = own();
    if (isForeign(worker!.attributes)) return null;
    if (!isEnabled(worker!.attributes)) {
      const ours = identity && `client:${settings.identityPrefix}${identity}`;
      if (!ours || withoutQuery(worker!.attributes.contact_uri) !== ours) return null;
      const former = worker!.attributes[formerURI];
      return typeof former === 'string' ? former : `client:${identity}`;
    }
    const { beat, link, otherAgent, rejection } = board.get();
    return link === 'up' && !rejection && !otherAgent && beat?.identity ? `client:${beat.identity}` : null;
  }

  /** The value to write now; null when all is well. */
  function missing(): string | null {
    const uri = wanted();
    return uri !== null && withoutQuery(worker!.attributes.contact_uri) !== uri ? uri : null;
  }

  function mayWrite(uri: string): boolean {
    if (clock.now() < notBefore) return false;
    if (uri !== written) {
      repeats = [];
      return true;
    }
    repeats = [...repeats.filter((at) => clock.now() - at < within), clock.now()];
    if (repeats.length <= mostRepeats) return true;
    log(`contact_uri was changed under our hands ${repeats.length} times in a minute; leaving it alone for five minutes`);
    repeats = [];
    notBefore = clock.now() + truceFor;
    board.set({ contactURI: 'contested' });
    return false;
  }

  async function reconcile(): Promise<void> {
    if (writing || stopped) return;
    const uri = missing();
    if (uri === null) return tellHowItIs();
    if (!mayWrite(uri)) return;
    writing = true;
    try {
      await worker!.fetchLatestVersion?.();
      if (stopped || missing() !== uri) return;
      await worker!.setAttributes({ ...worker!.attributes, contact_uri: uri });
      written = uri;
      verifyAt = clock.now() + verifyAfter;
      log(`contact_uri is now ${uri}`);
    } catch (cause) {
      notBefore = clock.now() + retryAfter;
      log('contact_uri could not be set; trying again', cause);
    } finally {
      writing = false;
    }
    tellHowItIs();
  }

  function tellHowItIs() {
    if (missing() !== null) return;
    const { contact_uri } = worker!.attributes;
    board.set({ contactURI: isEnabled(worker!.attributes) && !contact_uri ? 'missing' : 'ok' });
  }

  async function verify(): Promise<void> {
    verifyAt = Infinity;
    try {
      await worker!.fetchLatestVersion?.();
    } catch (cause) {
      log('contact_uri could not be verified', cause);
    }
    await reconcile();
  }

  const look = () => void (clock.now() >= verifyAt && !writing && !stopped ? verify() : reconcile());
  worker.addListener('attributesUpdated', look);
  look();
  return together(
    () => (stopped = true),
    () => worker.removeListener('attributesUpdated', look),
    board.subscribe(look),
    clock.every(lookEvery, look),
  );
}
