/** Which packages the default guest is made of, and what any way of getting them has to do. */
import { dependencyOf, type Stanza } from './control.ts';
import type { Progress } from './progress.ts';

/** The release of Debian, by its code name. */
export const suite = 'trixie';
/** The names that archives have for it. Only the code name stays; under another one look whether it is that release. */
export const suiteNames = [suite, 'stable'] as const;
export const architecture = 'riscv64';
/** A meta-package: it depends on the package of the current kernel. */
export const kernelMetaPackage = 'linux-image-riscv64';
export const busyboxPackage = 'busybox-static';
const kernelPackage = /^linux-image-\d.*-riscv64$/;

/** The names of other sources of a guest, for errors. */
export const mirrorVariable = 'BOTTOMHALF_DEBIAN_MIRROR';
export const otherWays = `name a kernel with -kernel and an initramfs with -initrd, or a Debian mirror in ${mirrorVariable}`;

/** A way to the packages. */
export interface FetchContext {
  /** An empty directory for whatever it needs; the caller removes it. */
  readonly directory: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** @throws Error when the meta-package depends on no kernel */
export function kernelPackageOf(metaPackage: Stanza): string {
  const name = dependencyOf(metaPackage, kernelPackage);
  if (name === undefined) throw new Error(`${kernelMetaPackage} depends on no kernel package`);
  return name;
}
