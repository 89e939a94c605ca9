/** A ticket API, in memory. Who may do what stands in its registration; the routes only do the work. */
import type { Guard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/fastify';
import fastify, { type FastifyInstance } from 'fastify';

export interface Ticket {
  id: number;
  title: string;
  status: 'open' | 'closed';
  by?: string;
}

/** How the API is registered with the identity provider. Note what is missing: `DELETE /tickets/{id}`. */
export const registration = {
  name: 'tickets',
  scopes: [
    { name: 'tickets:read', description: 'See tickets' },
    { name: 'tickets:write', description: 'File and close tickets' },
  ],
  operations: [
    { name: 'list tickets', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' },
    { name: 'read ticket', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' },
    { name: 'file ticket', method: 'POST', path: '/tickets', scope: ['tickets:write'], sensitivity: 'low' },
    {
      name: 'close ticket',
      method: 'POST',
      path: '/tickets/{id}/close',
      scope: ['tickets:write'],
      sensitivity: 'medium',
    },
  ],
};

/** The API behind its guard. `listen` is the caller's. */
export async function ticketApi(guard: Guard): Promise<FastifyInstance> {
  const tickets = new Map<number, Ticket>();
  for (const title of ['The printer is on fire', 'Password forgotten', 'Coffee machine says no']) file(title);

  function file(title: string): Ticket {
    const ticket: Ticket = { id: tickets.size + 1, title, status: 'open' };
    tickets.set(ticket.id, ticket);
    return ticket;
  }

  const app = fastify();
  await app.register(bailiwick, { guard });
  app.addHook('onClose', () => guard.close());

  app.get('/tickets', () => [...tickets.values()]);
  app.get<ById>('/tickets/:id', ({ params }, reply) => tickets.get(Number(params.id)) ?? reply.callNotFound());
  app.post<{ Body: { title: string } }>('/tickets', { schema: { body: newTicket } }, ({ body }, reply) =>
    reply.code(201).send(file(body.title)),
  );
  app.post<ById>('/tickets/:id/close', (request, reply) => {
    const ticket = tickets.get(Number(request.params.id));
    if (ticket === undefined) return reply.callNotFound();
    ticket.status = 'closed';
    ticket.by = request.caller.subject;
    return ticket;
  });
  // It works, and nobody registered it: so nobody gets here.
  app.delete<ById>('/tickets/:id', ({ params }, reply) => {
    tickets.delete(Number(params.id));
    return reply.code(204).send();
  });
  return app;
}

interface ById {
  Params: { id: string };
}

const newTicket = {
  type: 'object',
  required: ['title'],
  properties: { title: { type: 'string', minLength: 1, maxLength: 200 } },
};
