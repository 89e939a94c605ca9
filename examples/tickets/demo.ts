/** `npm run demo`: what two agents may do, what they may not, and what is on record of it. Ends with 0 if all went as told. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { BailiwickError, enrol } from '@bailiwick/agent';
import { narrator } from './narrator.ts';
import { type Stage, setStage } from './stage.ts';

const tell = narrator(process.stdout);
const began = performance.now();
tell.say('Starting an identity provider in a temporary folder, and a ticket API behind its guard …');
const stage = await setStage();
try {
  const { issuer, api } = stage;
  tell.say(`
   identity provider   ${issuer}
   ticket API          ${api}/tickets
   triage              an agent that may read and write tickets
   reporter            an agent that may only read them`);
  await aCallThatWorks(stage);
  await aScopeRefused(stage);
  await anOperationRefused(stage);
  await aStolenTokenRefused(stage);
  await anInstanceThatVanishes(stage);
  await aRevocationThatIsFelt(stage);
} catch (error) {
  tell.happened(`the demo broke off: ${error instanceof Error ? error.stack : error}`, false);
} finally {
  await stage.close();
}
process.exitCode = tell.end() === 0 ? 0 : 1;
tell.say(`It took ${((performance.now() - began) / 1000).toFixed(1)} s.`);

async function aCallThatWorks({ api, triage, decisions, newestRecord }: Stage) {
  tell.step('A call that works', 'triage closes ticket 1. It asks for no token itself: agent.fetch() does.');
  const response = await triage.fetch(`${api}/tickets/1/close`, { method: 'POST' });
  const { title, status } = (await response.json()) as { title: string; status: string };
  tell.happened(`${response.status}, "${title}" is ${status}`, response.status === 200 && status === 'closed');
  const decision = decisions.at(-1);
  tell.decided(decision, { outcome: 'allowed', operation: 'close ticket', agent: triage.clientId });
  tell.recorded(await newestRecord({ type: 'token.issued', agent: triage.clientId, jti: decision?.jti }), {
    type: 'token.issued',
    outcome: 'allowed',
  });
}

async function aScopeRefused({ api, reporter, decisions, newestRecord }: Stage) {
  tell.step(
    'A scope refused',
    'reporter tries to close ticket 2. It asks for the scope that this takes, and no role gives it.',
  );
  const response = await reporter.fetch(`${api}/tickets/2/close`, { method: 'POST' });
  tell.happened(`${response.status}, ${await detailOf(response)}`, response.status === 403);
  tell.decided(decisions.at(-1), { outcome: 'refused', status: 403, agent: reporter.clientId });
  tell.recorded(await newestRecord({ agent: reporter.clientId }), { type: 'token.refused', outcome: 'refused' });
}

async function anOperationRefused({ api, triage, decisions, newestRecord }: Stage) {
  tell.step(
    'An operation refused',
    'triage tries to delete ticket 3. The API could; but that operation is not registered.',
  );
  const response = await triage.fetch(`${api}/tickets/3`, { method: 'DELETE' });
  tell.happened(`${response.status}, ${await detailOf(response)}`, response.status === 403);
  const still = await triage.fetch(`${api}/tickets/3`);
  const decision = decisions.at(-2);
  tell.happened(`${still.status}, ticket 3 is still there`, still.status === 200);
  tell.decided(decision, { outcome: 'refused', status: 403, agent: triage.clientId });
  const record = await newestRecord({ type: 'token.issued', jti: decision?.jti });
  tell.recorded(record, { type: 'token.issued', agent: triage.clientId }, 'the token that was used');
}

async function aStolenTokenRefused({ api, triage, decisions, newestRecord }: Stage) {
  tell.step('A stolen token refused', 'The token of triage, good as it is, falls into the hands of another process.');
  const token = await triage.token({ resource: api });
  const answers = await thief({ url: `${api}/tickets`, token: token.dangerouslyExposeToken() });
  for (const [how, status] of Object.entries(answers)) tell.happened(`${status}, ${how}`, status === 401);
  for (const decision of decisions.slice(-2)) tell.decided(decision, { outcome: 'refused', status: 401 });
  const record = await newestRecord({ type: 'token.issued', jti: decisions.at(-1)?.jti });
  tell.recorded(record, { type: 'token.issued', agent: triage.clientId }, 'the token that was stolen');
}

async function anInstanceThatVanishes({ issuer, api, triage, decisions, admin, newestRecord }: Stage) {
  tell.step(
    'An instance that comes, works, and vanishes',
    'A copy of triage starts with nothing but an enrolment token, and gets a name, a key and a certificate of its own.',
  );
  const body = { agent: triage.clientId, kind: 'enrolment_token' };
  const { secret: enrolmentToken } = await admin<{ secret: string }>('POST', '/credentials', body);
  await using instance = await enrol({ issuer, enrolmentToken, resource: api });
  const minutes = Math.round((instance.expiresAt - Date.now()) / 60_000);
  tell.happened(`it is ${instance.spiffeId}, for ${minutes} minutes unless it renews`, minutes === 60);
  const closed = await instance.fetch(`${api}/tickets/2/close`, { method: 'POST' });
  tell.happened(`${closed.status}, it closed ticket 2`, closed.status === 200);
  tell.decided(decisions.at(-1), { outcome: 'allowed', operation: 'close ticket', agent: triage.clientId });
  tell.recorded(await newestRecord({ type: 'instance.enrolled' }), { agent: triage.clientId });

  const again = await enrol({ issuer, enrolmentToken }).catch((error: BailiwickError) => error.code);
  tell.happened(`its enrolment token works once (${again})`, again === 'invalid_client');
  // it could as well end itself, as it does anyway where its block ends: await using
  await admin('DELETE', `/instances/${instance.id}`);
  const refusal = await refusalOf(() => instance.fetch(`${api}/tickets`));
  tell.happened(`its work is done, and it is ended: its token is refused (${refusal})`, refusal === 'instance_ended');
  tell.decided(decisions.at(-1), { outcome: 'refused', status: 401, agent: triage.clientId });
  tell.recorded(await newestRecord({ type: 'instance.ended' }), { target: instance.id });
  const response = await triage.fetch(`${api}/tickets/2`);
  tell.happened(`${response.status}, triage itself goes on`, response.status === 200);
}

interface Revoked {
  rev: number;
  reach: { tokens?: { count: number } };
  acknowledgement: { complete: boolean; resources: { acknowledged_at?: string; guards: { applied_at?: string }[] }[] };
}

async function aRevocationThatIsFelt({ api, triage, decisions, admin, newestRecord }: Stage) {
  tell.step(
    'A revocation that is felt',
    'triage works along. The operator revokes it, and its token would be good for minutes yet.',
  );
  const before = await triage.fetch(`${api}/tickets`);
  tell.happened(`${before.status}, the call before works`, before.status === 200);
  const body = { subject: triage.clientId, reason: 'it behaves strangely', wait_seconds: 10, with_reach: true };
  const since = performance.now();
  const { rev, reach, acknowledgement } = await admin<Revoked>('POST', '/revocations', body);
  const milliseconds = Math.round(performance.now() - since);
  const guards = acknowledgement.resources.flatMap((resource) => resource.guards);
  const applied = guards.filter(({ applied_at }) => applied_at !== undefined).length;
  tell.happened(
    `revoked with ${reach.tokens?.count} tokens, and acknowledged by ${applied} of ${guards.length} guards: true at each of them after ${milliseconds} ms`,
    acknowledgement.complete,
  );
  // once, and at once: from the acknowledgement on nobody accepts it
  const refusal = await triage.fetch(`${api}/tickets`).then(
    ({ status }) => `${status}`,
    (error: BailiwickError) => error.code,
  );
  tell.happened(`the call after is refused, and no new token given (${refusal})`, refusal !== '200');
  const decision = decisions.at(-1);
  tell.decided(decision, { outcome: 'refused', status: 401, agent: triage.clientId });
  const target = triage.clientId;
  tell.recorded(await newestRecord({ type: 'agent.suspended', target }), { outcome: 'allowed' }, `revocation ${rev}`);
  tell.recorded(await newestRecord({ type: 'revocation.acknowledged', target }), { outcome: 'allowed' });
  tell.recorded(await newestRecord({ agent: triage.clientId, type: 'token.refused' }), { outcome: 'refused' });
}

/** Calls until it is refused: for two seconds the guard may believe what it was last told. Undefined if it never is. */
async function refusalOf(call: () => Promise<Response>): Promise<string | undefined> {
  for (const end = performance.now() + 5000; performance.now() < end; ) {
    try {
      await (await call()).body?.cancel();
    } catch (error) {
      if (error instanceof BailiwickError) return error.code;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return undefined;
}

async function detailOf(response: Response): Promise<string> {
  return ((await response.json()) as { detail: string }).detail;
}

/** Hands a token to another process and hears what that could do with it. */
function thief(loot: { url: string; token: string }): Promise<Record<string, number>> {
  return new Promise((resolve, reject) => {
    const args = [...process.execArgv, path.join(import.meta.dirname, 'thief.ts')];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.on('error', reject).on('close', () => {
      try {
        resolve(JSON.parse(said) as Record<string, number>);
      } catch {
        reject(new Error('the other process said nothing'));
      }
    });
    child.stdin.end(JSON.stringify(loot));
  });
}
