import { agentFromFile } from '@bailiwick/agent';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const agent = agentFromFile('clerk.json');
const client = new Client({ name: 'clerk', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
const url = new URL('http://localhost:3000/mcp');
await client.connect(new StreamableHTTPClientTransport(url, { fetch: agent.fetch as typeof fetch }));

const { tools } = await client.listTools();
console.log('I may call:', tools.map(({ name }) => name).join(', '));

for (const name of ['read_ticket', 'close_ticket', 'wipe']) {
  try {
    const { content } = await client.callTool({ name, arguments: { id: '7' } });
    console.log(`${name}:`, (content as { text: string }[])[0]?.text);
  } catch (error) {
    const refused = /"message":"([^"]+)"/.exec((error as Error).message)?.[1] ?? (error as Error).message;
    console.log(`${name}: refused. ${refused}`);
  }
}
await client.close();
