/**
 * What the rest of the code sees of rxjs: the classes of the package's index, from where they lie, as that loads two
 * hundred modules more (a tenth of a second at each start). Not a part of index.ts: in a vCPU's thread nobody subscribes.
 */
export { Observable } from 'rxjs/internal/Observable';
export { Subject } from 'rxjs/internal/Subject';
