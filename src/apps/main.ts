/** The executable: the one place where the parts meet the process they run in. */
import { basename } from 'node:path';
import { complain, tell } from './cli/failure.ts';
import { type Command, parseCommand, UsageError } from './cli/options.ts';
import { ClosedOutput } from './cli/output.ts';

/** Set by the bundler from package.json. */
declare const INSITU_VERSION: string;

async function main(argv: readonly string[]): Promise<number> {
  // What `comm` shows in BEGIN and END; people's scripts may look for the other tracer's name.
  const name = basename(process.argv[1] ?? '') === 'bpftrace' ? 'bpftrace' : 'insitu';
  process.title = name;
  // Without a listener, Node opens a debugger for everybody on this machine at this signal.
  process.on('SIGUSR1', () => {});
  let command: Command;
  try {
    command = parseCommand(argv);
  } catch (error) {
    tell(error, false);
    if (error instanceof UsageError && argv.length === 0)
      complain('\nUSAGE: insitu [options] FILE | -e PROGRAM | -l\n');
    return 1;
  }
  const verbose = 'options' in command && command.options.verbose;
  try {
    switch (command.kind) {
      case 'help':
        (await import('./cli/about.ts')).printHelp(command.command);
        return 0;
      case 'completion':
        (await import('./cli/about.ts')).printCompletion(command.shell, command.output);
        return 0;
      case 'version':
        (await import('./cli/about.ts')).printVersion(name, INSITU_VERSION);
        return 0;
      case 'format':
        return (await import('./cli/format.ts')).format(command.script, command.output);
      case 'info':
        (await import('./cli/info.ts')).printInfo(name, INSITU_VERSION);
        return 0;
      case 'memory':
        return await (await import('./cli/memory.ts')).memory(command.pid, command.address, command.options);
      case 'code':
        return await (await import('./cli/code.ts')).code(command.what, command.wanted, command.options);
      case 'doctor':
        return (await import('./cli/doctor.ts')).doctor(command.what, command.options);
      case 'sockets':
        return await (await import('./cli/sockets.ts')).sockets(command.options);
      case 'calls':
        return await (await import('./cli/calls.ts')).calls(command.patterns, command.options);
      case 'list':
        return await (await import('./cli/list.ts')).list(command.pattern, command.script, command.options);
      case 'symbols':
        return (await import('./cli/symbols.ts')).symbols(command.what, command.pattern, command.options);
      case 'object':
        return (await import('./cli/object.ts')).object(command.pid, command.address, command.options);
      case 'types':
        return (await import('./cli/types.ts')).types(command.file, command.type, command.options);
      case 'learn':
        return (await import('./cli/learn.ts')).learn(command.path, command.options);
      case 'run':
        return await (await import('./cli/run.ts')).run(command.script, command.options);
    }
  } catch (error) {
    // Whoever read our output has gone: there is nobody to tell anything.
    if (!(error instanceof ClosedOutput)) tell(error, verbose);
    return 1;
  }
}

main(process.argv.slice(2)).then(
  // Not process.exitCode: a handle that a failure left open must not keep the process.
  (status) => process.exit(status),
);
