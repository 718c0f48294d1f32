import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld } from '../../test/world';
import { callerOf, readable } from './caller';

test('an address that Flex has encoded is read as a name', () => {
  for (const [address, name] of [
    ['client:agent_40example_2Ecom', 'agent@example.com'],
    ['client:ext_alice_2Ehaddad_40acme_2Ecom?flex_session_identifier=1', 'alice.haddad@acme.com'],
    ['client:ext_', 'ext_'],
    ['client:z_C3_A9', 'zé'],
    ['client:broken_C3', 'broken_C3'],
    ['sip:1000@pbx.example.com', '1000@pbx.example.com'],
    ['+15550101', '+15550101'],
    ['Zoé O\'Brien 100%', 'Zoé O\'Brien 100%'],
    ['', ''],
  ] as const) assert.equal(readable(address, 'ext_'), name, address);
});

test('a caller has the name that Flex shows, and without one the number', () => {
  const world = createWorld();
  const task = (sid: string, callSid: string, attributes: object) => ({
    sid, status: 'accepted', taskChannelUniqueName: 'voice', attributes, conference: { participants: [{ isCurrentWorker: true, callSid }] },
  });
  world.setTasks(
    task('WR1', 'CA1', { name: 'Anna Vogt', from: '+15550101' }),
    task('WR2', 'CA2', { direction: 'outbound', from: '+15550000', outbound_to: '+15550102' }),
    task('WR3', 'CA3', { from: 'client:bob_40example_2Ecom', name: '' }),
    { sid: 'WR4', status: 'pending', taskChannelUniqueName: 'voice', attributes: { from: '+15550104', name: 'Carl' } },
  );
  const name = (callSid: string, from?: string) => callerOf(world.manager, callSid, 'ext_', from);
  assert.equal(name('CA1'), 'Anna Vogt');
  assert.equal(name('CA2'), '+15550102');
  assert.equal(name('CA3'), 'bob@example.com');
  assert.equal(name('CA4', '+15550104'), 'Carl', 'before Flex knows the call');
  assert.equal(name('CA9', '+15550109'), '+15550109');
  assert.equal(name('CA9'), '');
});
