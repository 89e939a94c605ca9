/** Whether security signals arrive: at those who are told, and from those who tell us. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { SignalSource, SignalStream } from '../nouns/signals.ts';
import { shortTime } from '../output.ts';
import { type Finding, note, ok, someOf, warn } from './finding.ts';

/** How long signals may wait for a receiver that takes none before that is worth a word. */
const waitingMs = 3_600_000;
/** After so long without a word nobody knows whether a source would still say one. */
const silentMs = 7 * 86_400_000;

/** Nothing where there is neither stream nor source, or where they are not this identity's to see. @param now milliseconds */
export async function checkSignals(api: Api, now: number): Promise<Finding[]> {
  try {
    const streams = await api.list<SignalStream>('/signal-streams');
    const sources = await api.list<SignalSource>('/signal-sources');
    return [...ofStreams(streams, now), ...ofSources(sources, now)];
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
}

function ofStreams(streams: readonly SignalStream[], now: number): Finding[] {
  const check = 'signals';
  const todo = 'bailiwick signals streams show ID';
  const found: Finding[] = [];
  const failing = streams.filter(({ fault, waiting }) => fault !== undefined && waiting > 0);
  const late = streams.filter(
    ({ fault, waiting, delivered_at, created_at }) =>
      fault === undefined && waiting > 0 && now - Date.parse(delivered_at ?? created_at) > waitingMs,
  );
  const disabled = streams.filter(({ status, reason }) => status === 'disabled' && reason !== undefined);
  if (failing.length > 0) {
    const named = someOf(failing.map(({ id, fault, waiting }) => `${id} (${waiting} wait: ${fault})`));
    found.push(warn(check, `Receivers are told nothing: ${named}.`, todo));
  }
  if (late.length > 0) {
    const named = someOf(late.map(({ id, delivered_at }) => `${id} (last ${shortTime(delivered_at) || 'never'})`));
    found.push(warn(check, `Receivers have fetched nothing for long: ${named}.`, todo));
  }
  if (disabled.length > 0) {
    const named = someOf(disabled.map(({ id, reason }) => `${id} (${reason})`));
    found.push(warn(check, `Streams are disabled, and hold nothing: ${named}.`, todo));
  }
  if (found.length > 0 || streams.length === 0) return found;
  return [ok(check, `signals arrive at their receivers (${streams.length})`)];
}

function ofSources(sources: readonly SignalSource[], now: number): Finding[] {
  const check = 'signal sources';
  const failing = sources.filter(({ fault }) => fault !== undefined);
  const silent = sources.filter(
    ({ fault, heard_at, created_at }) => fault === undefined && now - Date.parse(heard_at ?? created_at) > silentMs,
  );
  const found: Finding[] = [];
  if (failing.length > 0) {
    const named = someOf(failing.map(({ name, fault }) => `${name} (${fault})`));
    found.push(warn(check, `What others tell doesn't arrive: ${named}.`, 'bailiwick signals sources show NAME'));
  }
  if (silent.length > 0) {
    const named = someOf(silent.map(({ name, heard_at }) => `${name} (last ${shortTime(heard_at) || 'never'})`));
    found.push(note(check, `Nothing was heard for a week of: ${named}. Have them send a verification.`));
  }
  if (found.length > 0 || sources.length === 0) return found;
  return [ok(check, `signals of others arrive (${sources.length})`)];
}
