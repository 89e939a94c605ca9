/** One event of a stream as it is handed on. */
export interface StreamEvent {
  event?: string;
  id?: string;
  retry?: string;
  data?: string;
  /** Lines that are for nobody: they keep the connection open. */
  comments: readonly string[];
}

/**
 * Reads a stream of server-sent events from its bytes, as they come.
 * @param most characters in one event, before which it must end
 * @throws Error from `push` for an event that is longer, or bytes that are no UTF-8
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export function eventReader(most: number): { push(bytes: Uint8Array | undefined): StreamEvent[] } {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let lines: string[] = [];
  let length = 0;
  return {
    push(bytes) {
      const found: StreamEvent[] = [];
      rest += bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
      // A carriage return at the very end may be half of a line's end.
      const whole = bytes === undefined ? rest.length : rest.length - (rest.endsWith('\r') ? 1 : 0);
      const parts = rest.slice(0, whole).split(/\r\n|\r|\n/);
      rest = parts.pop() + rest.slice(whole);
      for (const line of parts) {
        length += line.length + 1;
        if (length > most) throw new Error('an event is too long');
        if (line !== '') {
          lines.push(line);
          continue;
        }
        if (lines.length > 0) found.push(eventOf(lines));
        lines = [];
        length = 0;
      }
      if (length + rest.length > most) throw new Error('an event is too long');
      return found;
    },
  };
}

function eventOf(lines: readonly string[]): StreamEvent {
  const data: string[] = [];
  const comments: string[] = [];
  const fields: { event?: string; id?: string; retry?: string } = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === '') comments.push(value);
    else if (name === 'data') data.push(value);
    else if (name === 'event' || name === 'id' || name === 'retry') fields[name] = value;
  }
  return { ...fields, ...(data.length === 0 ? {} : { data: data.join('\n') }), comments };
}

/** The event again, in the one way that every reader reads alike. */
export function writeEvent({ event, id, retry, data, comments }: StreamEvent): string {
  const lines = comments.map((comment) => `: ${comment}`);
  if (event !== undefined) lines.push(`event: ${event}`);
  if (id !== undefined) lines.push(`id: ${id}`);
  if (retry !== undefined) lines.push(`retry: ${retry}`);
  if (data !== undefined) lines.push(...data.split('\n').map((line) => `data: ${line}`));
  return `${lines.join('\n')}\n\n`;
}
