/** The default guest, Debian's kernel and a busybox initramfs, for programs and tests: `bottomhalf/guest`. */
export type { GuestImages } from './build.ts';
export { type DefaultGuest, type DefaultGuestOptions, defaultGuest } from './default-guest.ts';
export { lineProgress, type Progress, type ProgressOutput, silentProgress } from './progress.ts';
