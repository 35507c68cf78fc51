#!/usr/bin/env node
/** Entry of the installed command. */
import { createVm, prepareVm } from '../index.ts';
import { runCommand } from './command.ts';

const { env, stdin, stdout, stderr } = process;
// Other handles, an open standard input above all, would keep a finished process alive.
process.exit(await runCommand(process.argv.slice(2), { env, stdin, stdout, stderr, createVm, prepareVm }));
