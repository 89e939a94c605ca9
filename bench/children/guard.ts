import { serveCalls } from '../child.ts';

serveCalls({});
