/** Where a process writes to, as lines of a log: read slowly, or no longer read at all. */
export interface Output {
  write(text: string): void;
  /** Resolves when all of it was handed over, or its reader has gone. */
  written(): Promise<void>;
}

/** Whoever closes the pipe hears no more, and ends nothing: the proxy still has to be answered. */
export function outputTo(stream: NodeJS.WritableStream): Output {
  let closed = false;
  const gone = new Promise<void>((resolve) => {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      closed = true;
      resolve();
    });
  });
  return {
    write(text) {
      if (!closed) stream.write(text);
    },
    async written() {
      if (!closed) await Promise.race([gone, new Promise<void>((resolve) => stream.write('', () => resolve()))]);
    },
  };
}
