/** A fake issuer that keeps mandates. */
import { api, clientId, createWorld, issuer, json, type Seen, tokenResponse } from '../testing.ts';

/** A mandate as the issuer tells of it. */
export const toldMandate = {
  id: `mdt_${'1'.repeat(26)}`,
  organization: 'org_default',
  person: 'per_1',
  agent: clientId,
  resources: [{ resource: api, scope: 'tickets:read tickets:write', authorization_details: [{ type: 'x' }] }],
  limits: { uses: 3 },
  passing: { depth: 2, to: [`agt_${'3'.repeat(26)}`] },
  given: { way: 'administrator', by: 'agt_operator' },
  status: 'active',
  ledger: [{ counter: 'uses', spent: 1, most: 3 }],
  created_at: '2027-01-15T08:00:00Z',
  expires_at: '2027-01-15T09:00:00Z',
};

/** An issuer that keeps mandates: what it was asked, and what it answers. */
export function mandateWorld(answers: Record<string, (seen: Seen) => Response>) {
  const world = createWorld();
  const calls: (Seen & { path: string })[] = [];
  world.host(issuer, async (request) => {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/oauth2/token') return tokenResponse(world, request);
    if (pathname.startsWith('/.well-known/')) return json({ issuer, token_endpoint: `${issuer}/oauth2/token` });
    const { method, headers } = request;
    const seen = {
      url: request.url,
      method,
      headers,
      body: await request.text(),
      path: `${method} ${pathname}${search}`,
    };
    calls.push(seen);
    return answers[seen.path]?.(seen) ?? json({ detail: `there is no ${seen.path}` }, { status: 404 });
  });
  return { world, calls };
}
