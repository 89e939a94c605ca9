// Makes a stream of security signals for itself and prints what it hears, until it is stopped: all that a receiver has to do.
import { agentFromFile } from '@bailiwick/agent';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const listener = agentFromFile(process.argv[2] ?? 'listener.json');
const { issuer } = listener;

interface Metadata {
  jwks_uri: string;
  configuration_endpoint: string;
}
interface Stream {
  stream_id: string;
  aud: string;
  delivery: { endpoint_url: string };
}
interface Events {
  [type: string]: object;
}

const metadata = (await (await fetch(`${issuer}/.well-known/ssf-configuration`)).json()) as Metadata;
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));

async function post<Answer>(url: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const response = await listener.fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

// without `delivery` it is fetched (RFC 8936)
const stream = await post<Stream>(metadata.configuration_endpoint, { description: 'the listener of the guide' });
console.log(`Listening on ${stream.stream_id}.`);

for (let ack: string[] = []; ; ) {
  // waits until there is something; what was acknowledged isn't sent again
  const { sets } = await post<{ sets: Record<string, string> }>(stream.delivery.endpoint_url, { ack });
  for (const set of Object.values(sets)) {
    const { payload } = await jwtVerify(set, keys, { issuer, audience: stream.aud, typ: 'secevent+jwt' });
    const [type = ''] = Object.keys(payload.events as Events);
    console.log(type.slice(type.lastIndexOf('/') + 1), JSON.stringify(payload.sub_id));
  }
  ack = Object.keys(sets);
}
