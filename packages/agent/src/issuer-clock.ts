/** The time as the issuer has it: ours, until a refusal shows that ours is off. */
export interface IssuerClock {
  /** In ms. */
  now(): number;
  /** Takes over the time of an answer if that is more than 5 s (and less than a day) away. Was it? */
  learn(headers: Headers): boolean;
}

const maxSkewMs = 86_400_000;
const minSkewMs = 5_000;

export function createIssuerClock(now: () => number): IssuerClock {
  let offset = 0;
  return {
    now: () => now() + offset,
    learn(headers) {
      const skew = skewOf(headers, now());
      const isOff = Math.abs(skew - offset) > minSkewMs;
      if (isOff) offset = skew;
      return isOff;
    },
  };
}

/** How far the issuer's clock is ahead of ours, from its Date header, if that is believable. */
function skewOf(headers: Headers, now: number): number {
  const skew = Date.parse(headers.get('date') ?? '') - now;
  return Math.abs(skew) <= maxSkewMs ? skew : 0;
}
