/** What an agent says of what it passes on: strict, bounded, and not looked up yet. */
import { z } from 'zod';
import { countInQuery, idOf, line, record, wholeNumber } from '../lib/fields.ts';
import { longestMandateMs, wantedPassing, wantedPower } from '../mandates/wanted.ts';
import { pageLimits } from '../web/paging.ts';

/** `POST /mandates`: of what isn't named, as much is passed on as there is, but not to be passed on again. */
export const passOnBody = record({
  parent: idOf('mandate'),
  agent: idOf('agent').optional(),
  instance: idOf('instance').optional(),
  ...wantedPower,
  resources: wantedPower.resources.optional(),
  passing: wantedPassing.optional(),
  expires_in: wholeNumber(1, longestMandateMs / 1000).optional(),
});

export type PassOnBody = z.output<typeof passOnBody>;

/** `GET /mandates` */
export const heldQuery = z.strictObject({
  parent: idOf('mandate').optional(),
  limit: countInQuery(1, pageLimits.most).optional(),
  cursor: line(200).optional(),
});
