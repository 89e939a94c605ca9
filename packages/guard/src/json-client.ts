import type { Runtime } from './runtime.ts';

/** Why the identity provider could not be asked. The message is for the API's operator; callers of the API never see it. */
export class Unavailable extends Error {
  override name = 'Unavailable';
  /** What the identity provider answered, where it did. */
  readonly status: number | undefined;
  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

const usualBytes = 256 * 1024;

/**
 * Asks the identity provider for a JSON object: no redirects, at most 256 KB, and 3 seconds if nothing else is said.
 * @param hints what to look at when it answers with a certain status; `named`: how errors call the URL, if not as it is
 * @throws Unavailable for anything but a 200 with a JSON object
 */
export async function fetchJson(
  runtime: Pick<Runtime, 'fetch'>,
  url: string,
  init: RequestInit = {},
  {
    timeoutMs = 3000,
    hints = {},
    maxBytes = usualBytes,
    named = url,
  }: { timeoutMs?: number; hints?: Record<number, string>; maxBytes?: number; named?: string } = {},
): Promise<Record<string, unknown>> {
  let status: number;
  let text: string;
  try {
    const response = await runtime.fetch(url, {
      ...init,
      redirect: 'error',
      signal: init.signal
        ? AbortSignal.any([init.signal, AbortSignal.timeout(timeoutMs)])
        : AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json', ...init.headers },
    });
    status = response.status;
    text = await readText(response, maxBytes);
  } catch (error) {
    throw new Unavailable(`${named} can't be reached: ${reasonOf(error)}`);
  }
  if (status !== 200) {
    throw new Unavailable(`${named} answered ${status}${hints[status] ? `: ${hints[status]}` : ''}`, status);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unavailable(`${named} did not answer with JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Unavailable(`${named} did not answer with a JSON object`);
  }
  return value as Record<string, unknown>;
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What a failed fetch says, with the cause that Node hides beneath "fetch failed". */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const cause = error.cause;
  if (cause instanceof Error) return (cause as NodeJS.ErrnoException).code ?? cause.message;
  const { hint } = error as { hint?: unknown };
  return typeof hint === 'string' ? `${error.message} (${hint})` : error.message;
}
