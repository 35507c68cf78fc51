/** Bytes a second through the console, both ways, through the processes' pipes. */
import { createHash } from 'node:crypto';
import type { Context } from './main.ts';
import { ProcessConsole } from './process-console.ts';
import type { Row } from './report.ts';
import { PROMPT } from './results.ts';

const OUTPUT_BYTES = 1_000_000;
const INPUT_BYTES = 200_000;
const TIMEOUT_MS = 120_000;

export async function consoleBench({ files, emulators, rounds }: Context): Promise<Row[]> {
  const rows: Row[] = [];
  for (const emulator of emulators) {
    const [output, input]: [number[], number[]] = [[], []];
    let unavailable: string | undefined;
    const guest = new ProcessConsole(emulator.command(files));
    try {
      await guest.expect(PROMPT, TIMEOUT_MS);
      for (let round = 0; round < rounds; round++) output.push(await guestToHost(guest));
      for (let round = 0; round < rounds; round++) input.push(await hostToGuest(guest));
    } catch (error) {
      unavailable = error instanceof Error ? error.message : String(error);
    } finally {
      await guest.close();
    }
    const row = (name: string, values: number[]): Row => ({
      bench: 'console',
      name: `${emulator.name}: ${name}`,
      unit: 'kB/s',
      values,
      ...(values.length === 0 && unavailable !== undefined && { unavailable }),
    });
    rows.push(row('cat of a file to the host', output), row('piped input to the guest', input));
  }
  return rows;
}

/** The quotes keep the echo of the command from looking like its output. */
async function guestToHost(guest: ProcessConsole): Promise<number> {
  guest.write(`head -c ${OUTPUT_BYTES} /dev/zero | tr '\\0' x >/tmp/out; stty -opost; echo REA''DY\n`);
  await guest.expect('READY', TIMEOUT_MS);
  const startMs = performance.now();
  guest.write(`cat /tmp/out; stty sane; echo EN''D\n`);
  const { before } = await guest.expect('END', TIMEOUT_MS);
  const elapsedMs = performance.now() - startMs;
  const arrived = before.split('x').length - 1;
  if (arrived < OUTPUT_BYTES) throw new Error(`${OUTPUT_BYTES - arrived} of ${OUTPUT_BYTES} bytes were lost`);
  return OUTPUT_BYTES / elapsedMs;
}

async function hostToGuest(guest: ProcessConsole): Promise<number> {
  const text = Array.from({ length: INPUT_BYTES / 10 }, (_, i) => `${String(i).padStart(9, '0')}\n`).join('');
  guest.write(`stty raw -echo; echo REA''DY; head -c ${INPUT_BYTES} >/tmp/in; stty sane; echo EN''D; md5sum /tmp/in\n`);
  await guest.expect('READY', TIMEOUT_MS);
  const startMs = performance.now();
  guest.write(text);
  await guest.expect('END', TIMEOUT_MS);
  const elapsedMs = performance.now() - startMs;
  const { before } = await guest.expect('  /tmp/in', TIMEOUT_MS);
  const sum = createHash('md5').update(text).digest('hex');
  if (!before.includes(sum)) throw new Error('what arrived is not what was sent');
  return INPUT_BYTES / elapsedMs;
}
