import type { ServerForClients } from './token-client.ts';

/** Everything that a list of the admin API has, page by page. @param target with at least one filter, as in `/events?type=token.issued` */
export async function allPages<Item>(server: Pick<ServerForClients, 'admin'>, target: string): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const page: { items: Item[]; next_cursor?: string } = await server.admin(
      'GET',
      `${target}&limit=200${cursor && `&cursor=${cursor}`}`,
    );
    found.push(...page.items);
    cursor = page.next_cursor;
  }
  return found;
}
