// Two hundred policies as an organization with sixty roles and twenty APIs might have them, and the requests of ten thousand agents.
import assert from 'node:assert/strict';
import type { PolicyRequest } from '../packages/server/src/policy/request.ts';

const apis = Array.from({ length: 20 }, (_, i) => `https://api-${i}.example.com`);
const roles = Array.from({ length: 60 }, (_, i) => `role-${i}`);
const workflows = Array.from({ length: 50 }, (_, i) => `workflow-${i}`);
const environments = ['production', 'production', 'production', 'staging', 'sandbox'];

/** Which API a role gives. */
const givenBy = (role: string) => (Number(role.slice('role-'.length)) * 7) % apis.length;

/** Text for each policy, by its name. One in five reads the task or the address: the engine's own reading is held against that. */
export function benchPolicies(): { name: string; text: string }[] {
  const policies: { name: string; text: string }[] = [];
  const add = (kind: string, count: number, text: (i: number) => string) => {
    for (let i = 0; i < count; i += 1) {
      const name = `${kind}-${i}`;
      policies.push({ name, text: `@id("it") @reason("${name}") ${text(i)}` });
    }
  };
  const api = (i: number) => `Api::"${apis[i % apis.length]}"`;
  const role = (i: number) => `Role::"${roles[i % roles.length]}"`;

  // what roles give, on one API each; every fourth only in its own environment, or with a bound token
  add('role', 84, (i) => {
    const condition = [
      '',
      '',
      'when { principal.environment == "production" }',
      'unless { context.binding == "none" && resource.sensitivity == "high" }',
    ][i % 4];
    return `permit(principal in ${role(i)}, action in [Action::"token:issue", Action::"resource:access"], resource in ${api(i * 7)}) ${condition};`;
  });
  add('agent', 16, (i) => `permit(principal == Agent::"agent-${i * 37}", action, resource in ${api(i)});`);
  add(
    'environment',
    20,
    (i) =>
      `forbid(principal, action, resource in ${api(i)}) when { principal is Agent && principal.environment == "sandbox" && resource.sensitivity != "low" };`,
  );
  add(
    'sensitive',
    20,
    (i) =>
      `@step_up("binding mtls") forbid(principal in ${role(i * 3)}, action == Action::"resource:access", resource) when { resource.sensitivity == "high" && context.binding != "mtls" };`,
  );
  add(
    'night',
    10,
    (i) =>
      `forbid(principal, action == Action::"token:issue", resource in ${api(i)}) when { context.scope.contains("export") && (context.time.hour < 6 || context.time.hour >= 22) };`,
  );
  add(
    'everywhere',
    10,
    (i) =>
      [
        'forbid(principal, action, resource) when { context.chain_depth > 4 };',
        'forbid(principal, action, resource) when { context.binding == "none" && resource.sensitivity == "high" };',
        '@step_up("fresh_proof 60") forbid(principal, action == Action::"token:issue", resource) when { context.proof_age > 600 };',
        'forbid(principal is Agent, action, resource) when { principal.kind == "device" && resource.sensitivity == "high" };',
        'forbid(principal is Agent, action, resource) when { principal.hasTag("region") && principal.getTag("region") == "test" };',
        'forbid(principal, action, resource) when { context has country && ["KP", "IR"].contains(context.country) };',
        'forbid(principal in Role::"contractor", action, resource) when { context.now >= datetime("2027-01-01") };',
        'forbid(principal, action, resource is Tool) when { context.time.weekday == "sun" && resource.sensitivity == "high" };',
        'forbid(principal, action, resource) when { context.now.toTime() > duration("23h58m") };',
        'forbid(principal, action == Action::"lease:create", resource) when { context.binding != "mtls" };',
      ][i] as string,
  );

  // one in five: what reads the task or the address
  add(
    'declared',
    1,
    () =>
      '@step_up("task") forbid(principal, action, resource) when { context has task && context.task.provenance == "declared" && resource.sensitivity != "low" };',
  );
  add(
    'blocked',
    3,
    (i) =>
      `forbid(principal, action, resource) when { context has address && context.address.isInRange(ip("203.0.${i}.0/24")) };`,
  );
  add(
    'office',
    12,
    (i) =>
      `forbid(principal, action, resource in ${api(i)}) unless { context has address && (context.address.isInRange(ip("10.0.0.0/8")) || context.address.isInRange(ip("192.0.2.0/24")) || context.address.isInRange(ip("2001:db8::/32"))) };`,
  );
  add(
    'workflow',
    12,
    (i) =>
      `forbid(principal in ${role(i * 5)}, action == Action::"token:issue", resource) unless { context has task && context.task has workflow && ["${workflows[i]}", "${workflows[i + 1]}", "${workflows[i + 20]}"].contains(context.task.workflow) };`,
  );
  add(
    'task-environment',
    8,
    (i) =>
      `forbid(principal is Agent, action, resource in ${api(i + 12)}) when { context has task && context.task has environment && context.task.environment != principal.environment };`,
  );
  add(
    'purpose',
    4,
    (i) =>
      `permit(principal in ${role(i * 11)}, action == Action::"resource:access", resource is Tool) when { context has task && context.task has purpose && context.task.purpose like "*ticket ${i}*" && context.task has id && context.task.id like "tsk_*" };`,
  );
  return policies;
}

/** Random numbers from 0 to 1 that are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An address that no request before had: its last three bytes are the serial number, scattered one to one over all that three bytes can be. */
function newAddress(serial: number, random: () => number): string {
  assert.ok(serial < 2 ** 24, 'there are no more addresses');
  const scattered = Math.imul(serial, 0x9e3779b1) & 0xffffff; // an odd factor: no two numbers below 2^24 come to the same
  const [high, middle, low] = [scattered >> 16, (scattered >> 8) & 255, scattered & 255];
  const kind = random();
  if (kind < 0.2)
    return `2001:db8:${Math.floor(random() * 256).toString(16)}::${high.toString(16)}:${(scattered & 0xffff).toString(16)}`;
  return `${kind < 0.6 ? 10 : 11 + Math.floor(random() * 210)}.${high}.${middle}.${low}`;
}

/** Requests without end: agents by Zipf's law, each with its own roles, and a task and an address that nobody ever had. */
export function benchRequests(agents: number, seed: number): () => PolicyRequest {
  const random = numbers(seed);
  const pick = <Item>(list: readonly Item[]): Item => list[Math.floor(random() * list.length)] as Item;
  const principals = Array.from({ length: agents }, (_, i) => ({
    type: 'Agent' as const,
    id: `agt_${i}`,
    name: `agent-${i}`,
    kind: pick(['ai_agent', 'ai_agent', 'workload', 'device'] as const),
    environment: pick(environments),
    owner: `tea_${i % 300}`,
    roles: [...new Set(Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(roles)))],
    instance: undefined,
    attested: (random() < 0.3 ? { region: pick(['eu', 'us', 'test']) } : {}) as Record<string, string>,
  }));
  const upTo: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= agents; rank += 1) {
    sum += 1 / rank;
    upTo.push(sum);
  }
  const agent = () => {
    const wanted = random() * sum;
    let [low, high] = [0, agents - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    return principals[low] as (typeof principals)[number];
  };
  // 500 requests a second, from a Monday morning on
  let at = Date.UTC(2026, 10, 23, 8, 0);
  let serial = 0;

  return () => {
    at += 2;
    serial += 1;
    const token = random() < 0.5;
    const principal = agent();
    // nine times out of ten for what a role of it gives
    const identifier = random() < 0.9 ? (apis[givenBy(pick(principal.roles))] as string) : pick(apis);
    const sensitivity = pick(['low', 'low', 'medium', 'high'] as const);
    const byte = () => Math.floor(random() * 256);
    const address = newAddress(serial, random);
    return {
      principal,
      action: token ? 'token:issue' : 'resource:access',
      resource: token
        ? { type: 'Api', identifier, name: identifier, sensitivity }
        : { type: random() < 0.3 ? 'Tool' : 'Operation', identifier, name: `operation-${byte() % 10}`, sensitivity },
      context: {
        at,
        timeZone: 'Europe/Vienna',
        address,
        country: pick(['AT', 'DE', 'US', 'FR']),
        zone: undefined,
        task: {
          provenance: random() < 0.9 ? 'orchestrated' : 'declared',
          id: `tsk_${serial.toString(36).padStart(26, '0')}`,
          workflow: pick(workflows),
          step: `step ${serial}`,
          environment: pick(environments),
          purpose: `answers ticket ${serial}`,
        },
        binding: pick(['dpop', 'dpop', 'mtls', 'none'] as const),
        method: 'private_key_jwt',
        proofAge: Math.floor(random() * 60),
        scope: pick([['read'], ['read', 'write'], ['export']]),
        details: [],
        chainDepth: Math.floor(random() * 3),
        subject: random() < 0.3 ? `per_${byte()}` : undefined,
        operation: undefined,
      },
    };
  };
}
