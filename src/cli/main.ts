#!/usr/bin/env node
/**
 * Entry of the installed command. A vCPU's thread takes as long to begin as the rest of the command takes to load: it is
 * started first, by what loads little, and more are once the options are read.
 */
import { prepareVm } from '../vm-prepare.ts';

/** Where no vCPU has a thread of its own, or there is no machine: one would be started in vain. */
const WITHOUT_THREADS: readonly string[] = ['-h', '--help', '--version', '--seed', '--record', '--replay'];

const { env, stdin, stdout, stderr } = process;
const args = process.argv.slice(2);
if (!args.some((word) => WITHOUT_THREADS.includes(word))) prepareVm();
const [{ createVm }, { runCommand }] = await Promise.all([import('../index.ts'), import('./command.ts')]);
// Other handles, an open standard input above all, would keep a finished process alive.
process.exit(await runCommand(args, { env, stdin, stdout, stderr, createVm, prepareVm }));
