/** What the running server says: whether it answers, is ready, is who the key file means, and has the right time. */
import { getJson, type JsonAnswer } from '../../lib/get-json.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** @param now milliseconds, asked anew for each answer */
export async function checkServer(issuer: string, now: () => number, skewSeconds: number): Promise<Finding[]> {
  let ready: JsonAnswer;
  try {
    ready = await getJson(`${issuer}/readyz`);
  } catch (error) {
    const why = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name;
    return [
      fail(
        'server',
        `${issuer} does not answer (${why}).`,
        'Start it with `bailiwick serve`, or look at issuer, port and proxy.',
      ),
    ];
  }
  const found: Finding[] = [];
  if (ready.status === 200) found.push(ok('server', `${issuer} answers and is ready`));
  else
    found.push(
      fail(
        'server',
        `${issuer} answers, but it is not ready (${ready.status}).`,
        'Look into its log: the database, most likely.',
      ),
    );
  found.push(checkClock(ready.date, now(), skewSeconds), await checkMetadata(issuer));
  return found;
}

function checkClock(theirs: number, ours: number, skewSeconds: number): Finding {
  if (Number.isNaN(theirs))
    return warn('clock', 'The server does not say what time it is.', 'Does a proxy drop the Date header?');
  // the header has whole seconds, so less than one and a half is nothing
  const seconds = Math.round(Math.abs(theirs + 500 - ours) / 1000);
  if (seconds > skewSeconds) {
    return fail(
      'clock',
      `The server's clock differs from this machine's by ${seconds} s; at most ${skewSeconds} s are accepted.`,
      'Set the clocks: chronyc tracking, timedatectl.',
    );
  }
  if (seconds > 3)
    return warn(
      'clock',
      `The server's clock differs from this machine's by ${seconds} s.`,
      'Set the clocks: chronyc tracking, timedatectl.',
    );
  return ok('clock', 'agrees with this machine');
}

async function checkMetadata(issuer: string): Promise<Finding> {
  const { origin, pathname } = new URL(issuer);
  const url = `${origin}/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`;
  try {
    const { status, json } = await getJson(url);
    if (status === 200 && json.issuer === issuer) return ok('metadata', `names ${issuer}, as the key file does`);
    const names = typeof json.issuer === 'string' ? json.issuer : `nothing (${status})`;
    return fail(
      'metadata',
      `${url} names ${names}, and the key file ${issuer}.`,
      'Set issuer to what the key files name, or look at the proxy.',
    );
  } catch {
    return fail('metadata', `${url} does not answer.`, 'Does a proxy keep /.well-known to itself?');
  }
}
