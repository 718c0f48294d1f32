// Calls reach the agent whatever the plugins before ours do when Flex starts: Flex starts those of a phase one after another, and
// none behind one that neither succeeds nor fails.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../flex/world.mjs';
import { desk, startNeighbourhood } from './neighbours.mjs';

let flex;

const each = { timeout: 300_000 };

before(async () => {
  flex = await startNeighbourhood();
});
after(() => flex?.stop());

const hangs = () => new Promise(() => {});
const throws = () => {
  throw new Error('a neighbour that throws');
};

const neighbours = [
  ['hangs, in the phase of an older deployment of ours', 3, () => flex.moveIn('neighbour', hangs, 3)],
  ['hangs, in the first phase', 1, () => flex.moveIn('neighbour', hangs, 1)],
  ['throws when it is started', 1, () => flex.moveIn('neighbour', throws, 1)],
  ['throws before it has registered', 1, () => flex.moveInScript('neighbour', 'throw new Error("a neighbour that throws");', 1)],
  ['hangs behind ours', 1, () => flex.moveIn('neighbour', hangs, 3)],
];

for (const [name, phase, moveIn] of neighbours) {
  test(`a plugin before ours ${name}: the agent takes a call`, each, async () => {
    if (name.includes('behind')) await flex.deployPlugin({}, 'flexvc', phase);
    await moveIn();
    if (!name.includes('behind')) await flex.deployPlugin({}, 'flexvc', phase);
    const page = await flex.openFlex();
    const at = desk(flex, page);
    await at.badgeSays('Voice ready');
    assert.equal(await at.part('badge').count(), 1);
    await until('contact_uri', async () => JSON.parse((await flex.workerNow()).attributes).contact_uri === `client:${flex.identity}`);
    if ((await flex.workerNow()).activity !== 'Available') await flex.setActivity(page, 'Available');
    const live = await at.accepted();
    await at.badgeSays('In a call');
    assert.equal((await flex.stats(live.call_sid)).identity, flex.identity, 'who was rung');
    await at.$('hangup-footer').click();
    await until('the end of the call', async () => (await flex.stats(live.call_sid)).reason === 'agent');
    await at.complete(live.sid);
    assert.deepEqual(flex.wrong().filter((complaint) => !complaint.includes('a neighbour that throws')), []);
    await page.close();
    await flex.leave();
  });
}
