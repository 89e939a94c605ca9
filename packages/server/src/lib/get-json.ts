export interface JsonAnswer {
  status: number;
  /** What time the other side says it is, in milliseconds; NaN when it doesn't. */
  date: number;
  /** The body, or nothing in it when it was no JSON. */
  json: Record<string, unknown>;
}

/**
 * Looks at a small public document: no redirects, five seconds at most.
 * @throws Error from `fetch` when nobody answers
 */
export async function getJson(url: string): Promise<JsonAnswer> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(5000) });
  const text = await response.text();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // some proxy's page: the status has to do
  }
  return { status: response.status, date: Date.parse(response.headers.get('date') ?? ''), json };
}
