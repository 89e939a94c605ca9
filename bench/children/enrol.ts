// The server as it is by default, on SQLite on a real disk, with agents that enrol instances; and a past as long as is asked for.
import { generateKeyPairSync } from 'node:crypto';
import { asOf } from '../../packages/server/src/liveness/liveness.ts';
import { issueX509Svid } from '../../packages/server/src/svid/x509-svid.ts';
import { type EnrolTarget, ownCpu, serveCalls } from '../child.ts';
import { type DurableServer, startDurable } from './durable.ts';

let running: DurableServer | undefined;
let agents: { id: string; credential: string; org: string }[] = [];

async function startEnrol({ keys }: { keys: Record<string, unknown>[] }): Promise<EnrolTarget> {
  running = await startDurable({ instances: { live_at_most: 1_000_000 } });
  const { server, durability } = running;
  const { admin } = server;
  const team = await admin<{ id: string }>('POST', '/teams', { name: 'support' });
  agents = [];
  for (const [index, jwk] of keys.entries()) {
    const { id, organization: org } = await admin<{ id: string; organization: string }>('POST', '/agents', {
      name: `agent-${index}`,
      kind: 'workload',
      owner: team.id,
    });
    const { id: credential } = await admin<{ id: string }>('POST', '/credentials', { agent: id, jwk });
    agents.push({ id, credential, org });
  }
  return {
    issuer: server.issuer,
    url: `${server.issuer}/instances`,
    clientIds: agents.map(({ id }) => id),
    durability,
  };
}

const atOnce = 50_000;

/**
 * Makes instances that ended an hour ago, each enrolled by a token of its own that it used up: what a busy day leaves
 * behind before it is forgotten. By SQLite itself, since asking for a million of them would take hours.
 */
async function fillPast({ count }: { count: number }): Promise<number> {
  if (!running) throw new Error('not started');
  const { db } = running.server.deps;
  const now = Date.now();
  const [from, to] = [now - 2 * 3600_000, now - 3600_000];
  const jwk = JSON.stringify(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }));
  for (let done = 0; done < count; done += atOnce) {
    const upTo = Math.min(count, done + atOnce);
    const { id: agent, org } = agents[(done / atOnce) % agents.length] as (typeof agents)[number];
    const rows = `with recursive n(i) as (select ${done} union all select i + 1 from n where i + 1 < ${upTo})`;
    await db.transaction(async (tx) => {
      await tx.run(
        `insert into credentials (id, agent, org, kind, thumbprint, detail, label, created_at, expires_at, used_at)
         ${rows} select printf('crd_%026d', i), ?, ?, 'enrolment_token', hex(randomblob(22)), '{}', '', ?, ?, ? from n`,
        [agent, org, from, from + 600_000, from],
      );
      await tx.run(
        `insert into instances (id, org, agent, ancestors, spiffe_id, credential, thumbprint, alg, jwk, attributes, rev,
                                created_at, renewed_at, expires_at)
         ${rows} select printf('ins_%026d', i), ?, ?, '[]', 'spiffe://localhost/default/agent/' || printf('ins_%026d', i),
                        printf('crd_%026d', i), hex(randomblob(22)), 'ES256', ?,
                        '{"address":{"value":"127.0.0.1","provenance":"observed"}}', 1, ?, ?, ? from n`,
        [org, agent, jwk, from, from, to],
      );
      for (const [prefix, kind] of [
        ['ins', 'instance'],
        ['crd', 'credential'],
      ] as const) {
        await tx.run(
          `insert into subjects (id, kind, parent, state, changed_at)
           ${rows} select printf('${prefix}_%026d', i), ?, ?, 'active', ? from n`,
          [kind, agent, from],
        );
      }
    });
  }
  return (await db.get<{ n: number }>('select count(*) as n from instances'))?.n ?? 0;
}

/** CPU microseconds for each X.509-SVID: signed, and checked again. */
async function svids({ count }: { count: number }): Promise<number> {
  if (!running) throw new Error('not started');
  const { deps } = running.server;
  const { version } = await asOf(deps.db);
  const publicKeys = Array.from({ length: 50 }, () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  );
  const before = ownCpu();
  for (let index = 0; index < count; index++) {
    await issueX509Svid(deps, version, {
      spiffeId: `spiffe://${deps.config.trust_domain}/default/agent/ins_${index}`,
      publicKey: publicKeys[index % publicKeys.length] as never,
      notAfter: deps.clock.now() + 3600_000,
      template: 'instance',
    });
  }
  return (ownCpu() - before) / count;
}

serveCalls({ startEnrol, fillPast, svids }, () => running?.close());
