// A log as a busy deployment has it, with leaves that are somewhat shorter (no commitments, no versions): three organizations, two thousand agents, tokens under tasks, and six uses of each.
import { numbers } from './policies.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

const base32 = (value: number, length: number): string => {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = alphabet[rest % 32] + text;
  return text;
};

/** An id in the form of the server's, of any kind: the same for the same number. */
export const idOf = (prefix: string, n: number, time = 0): string =>
  `${prefix}_${base32(time, 10)}${base32(Math.imul(n + 1, 0x9e3779b1) >>> 0, 8)}${base32(n, 8)}`;

export const orgs = [0, 1, 2].map((n) => idOf('org', n));
export const agentCount = 2_000;
export const resourceCount = 20;
export const ownerCount = 200;
export const addressCount = 4_000;
const days = 90;

export const agentId = (n: number) => idOf('agt', n);
export const ownerId = (n: number) => idOf('tea', n);
export const address = (n: number) => `10.${n >> 8}.${n & 255}.7`;
export const resource = (n: number) => `https://api-${n}.example.com`;
const orgOfAgent = (n: number) => orgs[n % 20 === 19 ? 2 : n % 5 === 4 ? 1 : 0] as string;
export const ownerOf = (agent: number) => agent % ownerCount;

/** One row, and which of the sealed contents (by owner and address) is its own. */
export interface Row {
  id: string;
  at: number;
  leaf: Record<string, unknown>;
  owner: number;
  address: number;
}

/** Rows without end: in the order of time, `rows` of them over ninety days. */
export function eventRows(rows: number, end: number): (n: number) => Row {
  const random = numbers(8455);
  const pick = (count: number) => Math.floor(random() * count);
  const tokens: { jti: string; agent: number; resource: number; task: string; instance: string; trace: string }[] = [];
  return (n) => {
    const at = Math.floor(end - (days * 86_400_000 * (rows - n)) / rows);
    const id = idOf('evt', n, at);
    const kind = random();
    // by Zipf's law, more or less
    const agent = Math.floor(agentCount ** random()) - 1;
    const instance = idOf('ins', agent * 100_000 + Math.floor(n / 20_000));
    const base = { at: new Date(at).toISOString(), id, v: 1 };
    const owner = ownerOf(agent);
    const place = pick(20);
    const done = (leaf: Record<string, unknown>, by = owner): Row => ({
      id,
      at,
      leaf,
      owner: by,
      address: (by * 20 + place) % addressCount,
    });
    if (kind < 0.14 || tokens.length === 0) {
      const task = idOf('tsk', Math.floor(n / 40));
      const jti = id.slice(4);
      const trace = Math.floor(n / 25)
        .toString(16)
        .padStart(32, '5');
      const to = pick(resourceCount);
      tokens[tokens.length < 400 ? tokens.length : pick(400)] = { jti, agent, resource: to, task, instance, trace };
      return done({
        ...base,
        agent: agentId(agent),
        decided_on: {
          by: ['starter/roles-do-what-they-say'],
          client: { credential: idOf('crd', agent) },
          expires_at: at + 600_000,
          policy: 'starter/3',
          resource_id: idOf('res', to),
          scope: ['read'],
          task,
        },
        instance,
        jti,
        org: orgOfAgent(agent),
        outcome: 'allowed',
        reason: `role reader-${to}; policy starter/roles-do-what-they-say`,
        resource: resource(to),
        trace: `00-${trace}-0${jti.length}bcdefabcdefab-01`,
        type: 'token.issued',
      });
    }
    const token = tokens[pick(tokens.length)] as (typeof tokens)[number];
    if (kind < 0.9) {
      const refused = random() < 0.03;
      return done(
        {
          ...base,
          agent: agentId(token.agent),
          decided_on: {
            guard: idOf('grd', token.resource),
            mode: 'feed',
            operation: `operation-${pick(12)}`,
            resource_id: idOf('res', token.resource),
            status: refused ? 403 : 200,
            task: token.task,
          },
          instance: token.instance,
          jti: token.jti,
          org: orgOfAgent(token.agent),
          outcome: refused ? 'refused' : 'allowed',
          ...(refused && { reason: 'the operation needs another scope' }),
          resource: resource(token.resource),
          trace: `00-${token.trace}-0${token.jti.length}bcdefabcdefab-01`,
          type: 'access.used',
        },
        ownerOf(token.agent),
      );
    }
    const refused = kind < 0.96;
    return done({
      ...base,
      agent: agentId(agent),
      decided_on: refused
        ? { client: { credential: idOf('crd', agent) }, error: 'invalid_scope', asked: { scope: 'write' } }
        : { for: agentId(agent), workflow: `workflow-${pick(50)}`, ends_at: at + 3_600_000 },
      org: orgOfAgent(agent),
      outcome: refused ? 'refused' : 'allowed',
      ...(refused
        ? { reason: 'no role of the agent gives write', resource: resource(pick(resourceCount)) }
        : { target: idOf('tsk', Math.floor(n / 40)) }),
      type: refused ? 'token.refused' : kind < 0.99 ? 'task.opened' : 'task.ended',
    });
  };
}
