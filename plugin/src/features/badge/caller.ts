// Who is at the other end of a call, by name.
import type { Manager, Task } from '../../flex';
import { isVoice, taskOfCall } from '../call-controls/tasks';

/**
 * client:ext_alice_2Ehaddad_40acme_2Ecom is alice.haddad@acme.com: Flex writes what is neither letter nor digit as an underscore and
 * the two hexadecimal digits of each byte. Telephone numbers and names stay as they are.
 */
export function readable(address: string, prefix: string): string {
  const [whole = ''] = address.trim().replace(/^(client|sip):/, '').split('?');
  const encoded = prefix && whole.startsWith(prefix) && whole !== prefix ? whole.slice(prefix.length) : whole;
  if (/\s/.test(encoded)) return encoded;
  try {
    const name = decodeURIComponent(encoded.replace(/%/g, '%25').replace(/_([0-9A-F]{2})/g, '%$1'));
    return /^\P{C}+$/u.test(name) ? name : encoded;
  } catch {
    return encoded;
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The customer of a task, as Flex writes it in its list, or else as the task's maker has written it down. */
const customerOf = ({ attributes, defaultFrom }: Task): string => text(defaultFrom) || text(attributes?.name) || text(attributes?.direction === 'outbound' ? attributes.outbound_to : '') || text(attributes?.from);

/** Empty where nobody knows. Flex has the name of whom the extension knows by an address at most. */
export function callerOf(manager: Manager, callSid: string, prefix: string, from = ''): string {
  const ofThisNumber = (task: Task) => isVoice(task) && from !== '' && (task.attributes?.from === from || task.attributes?.outbound_to === from);
  const tasks = [...(manager.store.getState().flex.worker.tasks?.values() ?? [])].filter(ofThisNumber);
  const task = taskOfCall(manager, { callSid }) ?? (tasks.length === 1 ? tasks[0] : undefined);
  return readable((task && customerOf(task)) || from, prefix);
}
