import { agentFromFile } from '@bailiwick/agent';

const clerk = agentFromFile('clerk.json');

async function ask(question: object): Promise<void> {
  const response = await clerk.fetch(`${clerk.issuer}/access/v1/evaluation`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
  });
  const { decision, context } = (await response.json()) as { decision: boolean; context: Record<string, unknown> };
  console.log(decision, context.reason_user ?? '');
}

// an agent of ours, at something that is registered: roles, then policies
await ask({
  subject: { type: 'agent', id: 'janitor' },
  action: { name: 'access' },
  resource: { type: 'operation', id: 'https://vault.example.com#DELETE /files/{id}' },
});

// somebody and something that only this program knows: policies
const subject = { type: 'user', id: 'ada', properties: { department: 'claims' } };
for (const status of ['open', 'sealed']) {
  await ask({ subject, action: { name: 'read' }, resource: { type: 'record', id: '7', properties: { status } } });
}
