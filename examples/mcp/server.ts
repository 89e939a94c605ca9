import { createServer } from 'node:http';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { desk } from './desk.ts';

// The MCP server as it is: no token, no guard, and reached by nobody but this machine.
const mcp = createMcpHandler(desk);
createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers = new Headers(request.headers as Record<string, string>);
  const asked = new Request('http://localhost:4000/mcp', { method: 'POST', headers, body: Buffer.concat(chunks) });
  const answer = await mcp.fetch(asked);
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
}).listen(4000, '127.0.0.1', () => console.log('The tools are there.'));
