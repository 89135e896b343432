/**
 * The words of the command line: every command and every option, once. The parser, --help,
 * the manual page and the shells' completions are made from these tables. The options of
 * scripts are bpftrace 0.26's (see its manual page).
 */

/** Commands by their first word; `run` is a script, or a list of probes. */
export type CommandName =
  | 'run'
  | 'sockets'
  | 'calls'
  | 'symbols'
  | 'memory'
  | 'code'
  | 'types'
  | 'object'
  | 'doctor'
  | 'completion';

/** What a shell offers in a place: files, folders, processes, commands, or these words. */
export type Kind = 'file' | 'folder' | 'process' | 'program' | readonly string[];

export interface OptionWord {
  /** Under which the parser keeps it. */
  readonly name: string;
  /** As it is written, the short form first. */
  readonly words: readonly string[];
  /** What its value is; undefined where it takes none. */
  readonly value?: string;
  readonly kind?: Kind;
  readonly text: string;
  readonly of: readonly CommandName[];
}

export interface Example {
  readonly line: string;
  readonly text: string;
}

export interface CommandWord {
  readonly name: CommandName;
  /** What stands behind `insitu`, one for each way. */
  readonly usage: readonly string[];
  /** A line. */
  readonly summary: string;
  /** Paragraphs. */
  readonly text: readonly string[];
  /** What the words behind the command are, in order. */
  readonly operands: readonly Kind[];
  readonly examples: readonly Example[];
}

const files: readonly CommandName[] = [
  'run',
  'sockets',
  'calls',
  'symbols',
  'memory',
  'code',
  'types',
  'object',
  'doctor',
];
const everywhere: readonly CommandName[] = [...files, 'completion'];

/** In the order in which --help shows them. */
export const options: readonly OptionWord[] = [
  { name: 'e', words: ['-e'], value: "'PROGRAM'", text: 'run this program', of: ['run'] },
  {
    name: 'pid',
    words: ['-p', '--pid'],
    value: 'PID[,PID]',
    kind: 'process',
    text: 'these processes alone (begin, end and interval run all the same); end when the last of them ends',
    of: ['run', 'sockets', 'calls'],
  },
  {
    name: 'cmd',
    words: ['-c', '--cmd'],
    value: "'COMMAND'",
    kind: 'program',
    text: 'start COMMAND held, attach, let it go; end with it (words are split as a shell does, nothing is expanded)',
    of: ['run', 'sockets', 'calls'],
  },
  {
    name: 'follow',
    words: ['--follow'],
    text: 'with -p or -c: also what those processes start, from their fork on and through exec; end when the last of them ends',
    of: ['run'],
  },
  {
    name: 'list',
    words: ['-l', '--list'],
    text: 'list probes that match a PATTERN; with -v also what they carry',
    of: ['run'],
  },
  {
    name: 'probe-filter',
    words: ['--probe-filter'],
    value: 'REGEX',
    text: 'leave out probes whose names do not match, begin and end apart',
    of: ['run'],
  },
  { name: 'test', words: ['--test'], text: "run the script's test: probes, and end", of: ['run'] },
  { name: 'bench', words: ['--bench'], text: "run the script's bench: probes, and end", of: ['run'] },
  {
    name: 'mode',
    words: ['--mode'],
    value: 'test|bench',
    kind: ['test', 'bench'],
    text: 'the same as --test or --bench',
    of: ['run'],
  },
  {
    name: 'output',
    words: ['-o', '--output'],
    value: 'FILE',
    kind: 'file',
    text: 'write to FILE, not to standard output',
    of: everywhere,
  },
  {
    name: 'format',
    words: ['-f'],
    value: 'text|json',
    kind: ['text', 'json'],
    text: 'text, or json: one object a line',
    of: files,
  },
  { name: 'json', words: ['--json'], text: 'as -f json', of: files },
  {
    name: 'buffering',
    words: ['-B'],
    value: 'none|line|full',
    kind: ['none', 'line', 'full'],
    text: 'none: write each event; line: write what has arrived (default); full: gather up to 64 KiB',
    of: ['run'],
  },
  {
    name: 'quiet',
    words: ['-q', '--quiet'],
    text: "say nothing besides the script's own output",
    of: ['run', 'calls'],
  },
  {
    name: 'verbose',
    words: ['-v', '--verbose'],
    text: 'say more: the exit status of the -c child, the causes of errors; with calls, the histogram of each function',
    of: files,
  },
  {
    name: 'warnings',
    words: ['-k', '--warnings'],
    text: 'tell of each read of traced memory that fails, with its place in the script',
    of: ['run'],
  },
  { name: 'no-warnings', words: ['--no-warnings'], text: 'no warnings', of: ['run'] },
  {
    name: 'I',
    words: ['-I'],
    value: 'DIR',
    kind: 'folder',
    text: 'look for #include files in DIR too',
    of: ['run'],
  },
  {
    name: 'include',
    words: ['--include'],
    value: 'FILE',
    kind: 'file',
    text: 'as if the script began with #include <FILE>',
    of: ['run'],
  },
  {
    name: 'debuginfo',
    words: ['--debuginfo'],
    value: 'DIR[:DIR]',
    kind: 'folder',
    text: 'look for debug files below DIR too, not only /usr/lib/debug; DEBUGINFOD_URLS names servers that have more',
    of: files,
  },
  {
    name: 'symbols',
    words: ['--symbols'],
    value: 'FILE',
    kind: 'file',
    text: 'a build of the same program with symbols; refused if its build-id differs',
    of: files,
  },
  {
    name: 'symbols-force',
    words: ['--symbols-force'],
    text: 'then compare the code, and take the FILE of --symbols if it is the same',
    of: files,
  },
  {
    name: 'types',
    words: ['--types'],
    value: 'FILE',
    kind: 'file',
    text: 'a build of the same program with debugging information: types and arguments of one that has none',
    of: files,
  },
  {
    name: 'names',
    words: ['--names'],
    value: 'FILE',
    kind: 'file',
    text: 'name functions of stripped programs by FILE too, which insitu symbols learn made from a program with symbols; may be given several times',
    of: files,
  },
  {
    name: 'unwind',
    words: ['--unwind'],
    value: 'auto|fp|cfi',
    kind: ['auto', 'fp', 'cfi'],
    text: "how user stacks are walked: cfi by the program's call frame information, fp by frame pointers, auto (default) cfi where the kernel lets it",
    of: ['run'],
  },
  {
    name: 'flame',
    words: ['--flame'],
    value: 'FILE.svg|FILE.html',
    kind: 'file',
    text: 'at the end, draw a flame graph of a map that is keyed by stacks (@[ustack] = count(), @[comm, ustack, kstack] = sum(…)); the HTML page can be zoomed and searched',
    of: ['run'],
  },
  {
    name: 'folded',
    words: ['--folded'],
    value: 'FILE',
    kind: 'file',
    text: 'the same as folded stacks, a line a stack; - is standard output',
    of: ['run'],
  },
  {
    name: 'pprof',
    words: ['--pprof'],
    value: 'FILE',
    kind: 'file',
    text: 'the same for go tool pprof; FILE.pb.gz',
    of: ['run'],
  },
  {
    name: 'speedscope',
    words: ['--speedscope'],
    value: 'FILE',
    kind: 'file',
    text: 'the same for speedscope; FILE.json',
    of: ['run'],
  },
  {
    name: 'flame-map',
    words: ['--flame-map'],
    value: '@NAME',
    text: 'of several such maps, this one; else --flame draws the first, and the others hold all. The maps are printed too, but with -q',
    of: ['run'],
  },
  {
    name: 'depth',
    words: ['--depth'],
    value: 'N',
    text: 'with object, how many pointers deep (2); with calls, how many levels of calls are shown (128)',
    of: ['object', 'calls'],
  },
  {
    name: 'bytes',
    words: ['--bytes'],
    value: 'N',
    text: 'how much of each object, as far as nothing tells its size (512)',
    of: ['object'],
  },
  {
    name: 'printers',
    words: ['--printers'],
    value: 'FILE',
    kind: 'file',
    text: 'how more types of libraries are printed by what they hold; lines as MyVector<*>  sequence  first=begin_ end=end_ of=#0 (src/types/printers.ts tells more)',
    of: ['run'],
  },
  {
    name: 'events',
    words: ['--events'],
    text: 'each call as it happens; with calls each outermost call with those below it, as it ends',
    of: ['sockets', 'calls'],
  },
  {
    name: 'watch',
    words: ['--watch'],
    text: 'the tables anew each second, on a terminal in the same place (SIGUSR1 shows them at any time)',
    of: ['sockets', 'calls'],
  },
  {
    name: 'rate',
    words: ['--rate'],
    value: 'N',
    text: 'so many calls a second are shown one by one (1000); all are counted',
    of: ['calls'],
  },
  {
    name: 'sample',
    words: ['--sample'],
    value: 'N',
    text: 'each Nth outermost call of a thread is shown one by one, with those below it',
    of: ['calls'],
  },
  {
    name: 'min',
    words: ['--min'],
    value: 'TIME',
    text: 'only calls that take so long are shown one by one (10us, 5ms, 1s)',
    of: ['calls'],
  },
  { name: 'duration', words: ['--duration'], value: 'TIME', text: 'end after that time (10s, 2m)', of: ['calls'] },
  {
    name: 'overhead',
    words: ['--overhead'],
    value: 'PERCENT',
    text: "the probes may take this much of the processes' running time (20, and at most that of one CPU); functions that are called too often for that lose their probes, which is said; with 100 none do",
    of: ['calls'],
  },
  {
    name: 'explain',
    words: ['--explain'],
    text: 'each place where names could come from, and what is there',
    of: ['symbols'],
  },
  { name: 'info', words: ['--info'], text: 'tell what this kernel can do', of: ['run'] },
  {
    name: 'no-feature',
    words: ['--no-feature'],
    value: 'FEATURE[,FEATURE]',
    kind: ['uprobe_multi', 'kprobe_multi', 'kprobe_session'],
    text: 'do without uprobe_multi, kprobe_multi, kprobe_session',
    of: ['run', 'calls'],
  },
  {
    name: 'traceable-functions',
    words: ['--traceable-functions'],
    value: 'FILE',
    kind: 'file',
    text: "the kernel functions that can be probed, a name a line, instead of tracefs's available_filter_functions",
    of: ['run'],
  },
  {
    name: 'usdt-file-activation',
    words: ['--usdt-file-activation'],
    text: 'taken and ignored: the kernel itself raises the semaphores of all processes that run the file',
    of: ['run'],
  },
  {
    name: 'unsafe',
    words: ['--unsafe'],
    text: 'allow system(), signals, and probes where they may break the program',
    of: ['run'],
  },
  {
    name: 'fmt',
    words: ['--fmt'],
    text: 'print the script in canonical form, with its comments',
    of: ['run'],
  },
  { name: 'dry-run', words: ['--dry-run'], text: 'attach everything, run nothing, end', of: ['run'] },
  {
    name: 'debug',
    words: ['-d', '--debug'],
    value: 'STAGE',
    kind: ['ast', 'types', 'ir', 'codegen', 'bpf', 'verifier', 'all'],
    text: "print a stage of the compilation: ast, types, ir (or codegen), bpf, or what the kernel's verifier says: verifier",
    of: ['run'],
  },
  { name: 'version', words: ['-V', '--version'], text: 'print the version', of: everywhere },
  { name: 'help', words: ['-h', '--help'], text: 'print this; behind a command, what belongs to it', of: everywhere },
];

/** In the order in which --help shows them. */
export const commands: readonly CommandWord[] = [
  {
    name: 'run',
    usage: [
      '[options] FILE [parameter …]',
      "[options] -e 'PROGRAM' [parameter …]",
      '[options] - [parameter …]',
      '-l [PATTERN]',
    ],
    summary: 'run a script, or list probes',
    text: [
      'In the script, $1, $2 … are the parameters as numbers, str($1) as text, $# their count. Behind --, --name=value is what getopt("name", default) gives; -- --help lists these. A script named - comes from standard input.',
    ],
    operands: ['file'],
    examples: [
      {
        line: `insitu -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'`,
        text: 'files that programs open',
      },
      {
        line: "insitu -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'",
        text: 'system calls by program, printed at Ctrl-C',
      },
      {
        line: `insitu -e 'uprobe:/usr/bin/node:uv_tcp_bind { printf("%s\\n", ustack); }' -c 'node server.js'`,
        text: 'the code of a program that binds a TCP socket',
      },
      {
        line: "insitu -q --flame cpu.html -e 'profile:hz:99 { @[ustack, kstack] = count(); }' -p PID",
        text: 'where a program spends its time, as a flame graph, at Ctrl-C',
      },
      {
        line: "insitu -e 'uprobe:libc:connect { print(args); }'",
        text: 'arguments by name and type, where the file has debugging information',
      },
      { line: "insitu -l 'tracepoint:syscalls:sys_enter_acc*' -v", text: 'tracepoints with their fields' },
      { line: "insitu -l 'uprobe:/usr/bin/node:*uv_tcp*'", text: 'functions of a program' },
    ],
  },
  {
    name: 'sockets',
    usage: ["sockets [-p PID | -c 'COMMAND']"],
    summary: 'who listens, with which options, whom it accepts',
    text: [
      'Follows each socket from its making to its end: of a command, of processes and what they start, or of the whole machine. It prints findings in words, tables of listeners and connections, and the code that made each call, at the end, each second (--watch), or at SIGUSR1. Sockets that were open before are read without touching their processes.',
    ],
    operands: [],
    examples: [
      {
        line: "insitu sockets -c 'envoy -c envoy.yaml'",
        text: 'which code listens on which port, is SO_REUSEADDR set, do connections get TCP_NODELAY',
      },
      {
        line: 'insitu sockets -p PID --events',
        text: 'the same of a process that runs; its sockets are read without touching it',
      },
      { line: 'insitu sockets --watch', text: 'all of this machine, anew each second' },
    ],
  },
  {
    name: 'calls',
    usage: ["calls PATTERN … -p PID | -c 'COMMAND'"],
    summary: "calls of functions as trees, with values and times, and each function's numbers",
    text: [
      'Follows each call of the functions that match: thread by thread, with arguments and results (registers as they are where no type is known), times, exceptions, longjmp and tail calls. It prints the longest calls with those below them, and for each function how often it was called, its time in all, without the calls below (self), the median, the 99th percentile, and how the times are spread. A PATTERN is FUNCTION or FILE:FUNCTION, mangled or not, with * and ? as wildcards; ~NAME is an inferred name. The numbers are those of all calls, also where not every call is shown one by one.',
    ],
    operands: [],
    examples: [
      { line: "insitu calls 'Session::*' -p PID", text: "the calls of a class's functions, until Ctrl-C" },
      {
        line: "insitu calls parse_request 'libssl:SSL_*' -p PID --events --min 10ms",
        text: 'calls that take 10 ms or longer, with what they call, as they happen',
      },
      {
        line: "insitu calls '~Envoy::Network::*' -p PID --duration 10s --json",
        text: 'by inferred names of a stripped program, for ten seconds, as JSON',
      },
    ],
  },
  {
    name: 'symbols',
    usage: ['symbols FILE|PID|kernel [REGEX]', 'symbols learn FILE'],
    summary: 'functions of a program, or what it is',
    text: [
      'Without an expression, a first look: what the file is, its version and build-id, and where its names come from. `symbols learn` writes what names the functions of other builds of a program, for --names.',
    ],
    operands: ['file'],
    examples: [
      {
        line: "insitu symbols /usr/bin/node 'uv_tcp.*bind'",
        text: 'functions by a regular expression, with address, size and source line',
      },
      {
        line: 'insitu symbols --explain PID',
        text: 'the files of a process, and every place where symbols were looked for',
      },
      { line: 'insitu symbols learn ./server-with-symbols > server.names', text: 'names for its stripped builds' },
    ],
  },
  {
    name: 'memory',
    usage: ['memory PID [0xADDRESS]'],
    summary: 'a memory map with sections, or where an address lies',
    text: [
      'Each mapping with its file, segment, sections, rights and resident size; of an address the mapping, the section, the symbol, the source line and the instruction.',
    ],
    operands: ['process'],
    examples: [
      { line: 'insitu memory PID', text: 'the memory map of a process' },
      { line: 'insitu memory PID 0x7f3a5c0291a0', text: 'where an address lies' },
    ],
  },
  {
    name: 'code',
    usage: ['code FILE|PID FUNCTION[+OFFSET]|0xADDRESS'],
    summary: 'instructions of a function, and where a uprobe sits',
    text: [
      'Each instruction of x86-64 code with its address, its place in the file, its bytes, the function that it calls or jumps to (also through the PLT), what it refers to, and the source line it came from. The instruction on which a uprobe sits is marked; the numbers behind + are those of uprobe:FILE:FUNCTION+OFFSET. An address is a virtual one of the file, as nm prints it, or one of the process; of a process, bytes that differ in its memory are shown.',
    ],
    operands: ['file'],
    examples: [
      { line: 'insitu code /usr/bin/node uv_tcp_bind', text: 'a function, with the names of what it calls' },
      { line: 'insitu code PID malloc+16', text: 'in a process; which instruction is at that offset' },
      { line: "insitu code ./envoy '~main'", text: 'a function of a stripped program, by its inferred name' },
    ],
  },
  {
    name: 'types',
    usage: ['types FILE [TYPE]'],
    summary: 'a type of a program, with offsets and sizes',
    text: ['The type as its source declares it, from debugging information, with offsets, sizes and holes.'],
    operands: ['file'],
    examples: [{ line: "insitu types libc 'struct addrinfo'", text: 'how a type lies in memory' }],
  },
  {
    name: 'object',
    usage: ['object PID 0xADDRESS'],
    summary: 'an object as a tree, by what its words are',
    text: [
      'Without any description of its type: classes by their virtual tables, strings, functions, addresses of sockets.',
      'In a script object(pointer) prints the same of an object that a probe sees, its own bytes as they are at that moment.',
    ],
    operands: ['process'],
    examples: [
      { line: 'insitu object PID 0x55d0c3a2b400 --depth 3', text: 'an object and what it points to' },
      {
        line: "insitu -p PID -e 'uprobe:FILE:FUNCTION { object(arg0, 3) }'",
        text: 'the same of an object that a probe sees',
      },
    ],
  },
  {
    name: 'doctor',
    usage: ['doctor [FILE|PID]'],
    summary: 'what this kernel, these privileges and a program allow, and what mends the rest',
    text: [
      'Looks without changing anything. Each line says what works, what works in part and what does not, and behind -> the command that helps. The exit status is 1 where nothing can be traced at all.',
    ],
    operands: ['file'],
    examples: [
      { line: 'insitu doctor', text: 'this machine' },
      { line: 'insitu doctor ./server', text: 'also a program: names, types, stacks' },
      { line: 'insitu doctor PID', text: 'also a process: its program, code made at run time, debuggers' },
    ],
  },
  {
    name: 'completion',
    usage: ['completion bash|zsh|fish'],
    summary: "a shell's completion of these commands and options",
    text: ['Written to standard output, for a file that the shell reads.'],
    operands: [['bash', 'zsh', 'fish']],
    examples: [
      { line: 'insitu completion bash > /etc/bash_completion.d/insitu', text: 'for all users of bash' },
      { line: 'insitu completion zsh > ~/.zfunc/_insitu', text: 'for zsh, with ~/.zfunc in its fpath' },
      { line: 'insitu completion fish > ~/.config/fish/completions/insitu.fish', text: 'for fish' },
    ],
  },
];

export interface Section {
  readonly title: string;
  readonly text: string;
}

/** What --help and the manual page tell besides. */
export const notes: readonly Section[] = [
  {
    title: 'SIGNALS',
    text: 'SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGQUIT end the run: END is run and the maps are printed; a second one ends it at once. A -c child gets the same signal, and two seconds. SIGUSR1 prints all maps, or tables, and goes on.',
  },
  { title: 'EXIT STATUS', text: 'n after exit(n), 1 after an error, else 0' },
];
