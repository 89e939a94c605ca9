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
 * Reads a stream of server-sent events from its bytes, as they come. Each character is looked at once, in however many pieces it comes.
 * @param most characters in one event, before which it must end
 * @throws Error from `push` for an event that is longer, or bytes that are no UTF-8
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export function eventReader(most: number): { push(bytes: Uint8Array | undefined): StreamEvent[] } {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  /** Of the line that hasn't ended yet. */
  let pieces: string[] = [];
  /** A carriage return ended the last piece: a line feed that follows belongs to it. */
  let isAfterReturn = false;
  let lines: string[] = [];
  /** Of the event that hasn't ended yet. */
  let length = 0;

  function ended(line: string): StreamEvent | undefined {
    pieces = [];
    if (line !== '') {
      lines.push(line);
      return undefined;
    }
    const event = lines.length > 0 ? eventOf(lines) : undefined;
    lines = [];
    length = 0;
    return event;
  }

  function take(characters: number): void {
    length += characters;
    if (length > most) throw new Error('an event is too long');
  }

  return {
    push(bytes) {
      const found: StreamEvent[] = [];
      const text = bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
      if (text === '') return found;
      let from = isAfterReturn && text.startsWith('\n') ? 1 : 0;
      isAfterReturn = text.endsWith('\r');
      lineEnd.lastIndex = from;
      for (let match = lineEnd.exec(text); match !== null; match = lineEnd.exec(text)) {
        take(match.index - from + 1);
        pieces.push(text.slice(from, match.index));
        const event = ended(pieces.join(''));
        if (event !== undefined) found.push(event);
        from = lineEnd.lastIndex;
      }
      if (from < text.length) {
        take(text.length - from);
        pieces.push(text.slice(from));
      }
      return found;
    },
  };
}

const lineEnd = /\r\n|\r|\n/g;

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
