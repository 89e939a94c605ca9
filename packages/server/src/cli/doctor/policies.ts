/** Whether policies let anything happen, and whether some are only looked at for good. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import { span } from '../output.ts';
import type { ListedPolicy } from '../registry.ts';
import { type Finding, fail, note, ok, someOf } from './finding.ts';

const check = 'policies';
const longObservedMs = 30 * 86_400_000;

/** Nothing where they are not this identity's to see. */
export async function checkPolicies(api: Api, now: number): Promise<Finding[]> {
  let policies: ListedPolicy[];
  try {
    policies = await api.list<ListedPolicy>('/policies');
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
  const enforced = policies.filter(({ mode }) => mode === 'enforce');
  if (enforced.length === 0) {
    return [
      fail(
        check,
        'None is enforced, so nobody gets a token for any API.',
        'bailiwick policy list --removed; bailiwick policy rollback starter REVISION --reason …',
      ),
    ];
  }
  const observed = policies.filter(
    ({ mode, updated_at }) => mode === 'observe' && now - Date.parse(updated_at) > longObservedMs,
  );
  const counted = ok(check, `${enforced.length} enforced, ${policies.length - enforced.length} observed`);
  if (observed.length === 0) return [counted];
  const names = someOf(observed.map(({ name }) => name));
  const message = `Only observed for more than ${span(longObservedMs)}: ${names}. \`bailiwick policy simulate\` says what they would refuse; enforce or remove them.`;
  return [counted, note(check, message)];
}
