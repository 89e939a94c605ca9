/** Syslog over TLS (RFC 5425). The protocol has no receipts: what is sent is taken for received when the other side has closed in order. */
import type { SafeConnect } from '../lib/safe-connect.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { DeliveryError, type SyslogTarget, type TargetSecret } from './exporter.ts';
import type { ExportedEvent } from './record.ts';
import { framed, type SyslogOrigin, syslogMessage } from './syslog-message.ts';

export interface SyslogSending {
  connect: SafeConnect;
  host: string;
  secret: TargetSecret;
  signal: AbortSignal;
}

/**
 * One connection for each batch: its end is the only receipt there is. Who closes in answer to our close has read everything before it;
 * whoever breaks off may not have, and gets the batch again.
 * @throws DeliveryError
 */
export async function sendSyslog(
  { connect, host, secret, signal }: SyslogSending,
  target: SyslogTarget,
  events: readonly ExportedEvent[],
): Promise<void> {
  const origin: SyslogOrigin = { host, enterprise: target.enterprise_number };
  const bytes = Buffer.concat(events.map((event) => framed(syslogMessage(event, origin))));
  const { ca, certificate, port } = target;
  try {
    const socket = await connect({ host: target.host, port, ca, certificate, key: secret.key, signal });
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => {
        socket.destroy();
        reject(new DeliveryError(`${target.host}:${port} ${why}`));
      };
      let ended = false;
      signal.addEventListener('abort', () => fail('did not close the connection in time'), { once: true });
      socket.once('error', (error: NodeJS.ErrnoException) => fail(`broke off (${error.code ?? 'no reason given'})`));
      socket.once('end', () => {
        ended = true;
      });
      socket.once('close', (failed) => {
        if (!failed && ended && socket.writableFinished) resolve();
        else fail('closed the connection before everything was sent');
      });
      socket.resume(); // a receiver has nothing to say; its end has to be read all the same
      socket.end(bytes);
    });
  } catch (error) {
    if (error instanceof FetchError) throw new DeliveryError(error.message);
    throw error;
  }
}
