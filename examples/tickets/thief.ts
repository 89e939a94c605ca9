/**
 * Another process, with another key, into whose hands a token has fallen: it tries what a thief would.
 * Reads `{url, token}` from its standard input and prints what the API answered, as JSON.
 */
import { createDpopProof, generateJwk, signerFrom } from '@bailiwick/protocol';

let input = '';
for await (const chunk of process.stdin.setEncoding('utf8')) input += chunk;
const { url, token } = JSON.parse(input) as { url: string; token: string };

const ownKey = signerFrom(await generateJwk('ES256'));
const proof = await createDpopProof(ownKey, {
  htm: 'GET',
  htu: url,
  now: Date.now(),
  jti: crypto.randomUUID(),
  accessToken: token,
});

const answers: Record<string, number> = {};
for (const [how, headers] of Object.entries({
  'sent as a plain bearer token': { authorization: `Bearer ${token}` },
  'sent with a proof by the key of the thief': { authorization: `DPoP ${token}`, dpop: proof },
})) {
  answers[how] = (await fetch(url, { headers })).status;
}
console.log(JSON.stringify(answers));
