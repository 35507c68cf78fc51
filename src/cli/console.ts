/** Host back ends for a machine's console, as the command line uses them: `bottomhalf/console`. */
export { type CharBackend, connectConsole, type GuestConsole } from './char-backend.ts';
export { openSerial } from './serial.ts';
export { parseSerial, type SerialSpec, serialSyntax } from './serial-spec.ts';
export { openStdio, type StdioOptions } from './terminal.ts';
