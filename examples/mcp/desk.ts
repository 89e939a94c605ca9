import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const ticket = z.object({ id: z.string().describe('Its number') });
const said = (text: string) => ({ content: [{ type: 'text' as const, text }] });

/** A help desk with three tools. */
export function desk(): McpServer {
  const server = new McpServer({ name: 'desk', version: '1.0.0' });
  server.registerTool(
    'read_ticket',
    { description: 'Reads a ticket.', inputSchema: ticket, annotations: { readOnlyHint: true } },
    ({ id }) => said(`Ticket ${id}: the printer is on fire.`),
  );
  server.registerTool('close_ticket', { description: 'Closes a ticket.', inputSchema: ticket }, ({ id }, context) => {
    const caller = context.http?.authInfo?.clientId ?? 'somebody';
    return said(`Ticket ${id} was closed by ${caller}.`);
  });
  server.registerTool('wipe', { description: 'Deletes everything. For us alone.' }, () => said('Gone.'));
  return server;
}
