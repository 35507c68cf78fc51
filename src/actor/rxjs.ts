/**
 * What the rest of the code sees of rxjs. Not a part of index.ts: it takes a tenth of a second to load, which each vCPU's
 * thread, where nobody subscribes to anything, would spend.
 */
export { Observable, Subject } from 'rxjs';
