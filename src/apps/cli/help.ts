/** What `insitu --help` prints. */
export const help = `insitu - sees through a running process, in the bpftrace language

USAGE:
    insitu [options] FILE [parameter …]
    insitu [options] -e 'PROGRAM' [parameter …]
    insitu [options] - [parameter …]           the script comes from standard input
    insitu -l [PATTERN]                        list probes
    insitu sockets [-p PID | -c 'COMMAND']     who listens, with which options, whom it accepts
    insitu symbols FILE|PID|kernel [REGEX]     functions of a program, or what it is
    insitu memory PID [0xADDRESS]              a memory map with sections, or where an address lies
    insitu types FILE [TYPE]                   a type of a program, with offsets and sizes
    insitu object PID 0xADDRESS                an object as a tree, by what its words are
    insitu symbols learn FILE                  names in a program with symbols, for --names

OPTIONS:
    -e 'PROGRAM'     run this program
    -p, --pid PID[,PID]
                     limit all probes but begin, end and interval to these processes;
                     end when the last of them ends
    -c, --cmd 'CMD'  start CMD held, attach, let it go; end with it
                     (words are split as a shell does, nothing is expanded)
    --follow         with -p or -c: also what those processes start, from their fork on
                     and through exec; end when the last of them ends
    -l, --list [PATTERN]
                     list probes that match; with -v also what they carry
    --probe-filter REGEX
                     leave out probes whose names do not match, begin and end apart
    --test, --bench  run the script's test: or bench: probes, and end
    -o, --output FILE
                     write to FILE, not to standard output
    -f FORMAT        text or json (one object a line)
    -B MODE          none: write each event; line: write what has arrived (default);
                     full: gather up to 64 KiB
    -q, --quiet      say nothing besides the script's own output
    -v, --verbose    say more: the exit status of the -c child, the causes of errors
    -k, --warnings   tell of each read of traced memory that fails, with its place in the script
    --no-warnings    no warnings
    -I DIR           look for #include files in DIR too
    --include FILE   as if the script began with #include <FILE>
    --debuginfo DIR[:DIR]
                     look for debug files below DIR too, not only /usr/lib/debug;
                     DEBUGINFOD_URLS names servers that have more
    --symbols FILE   a build of the same program with symbols; refused if its build-id differs
    --types FILE     a build of the same program with debugging information: types and
                     arguments of one that has none
    --symbols-force  then compare the code, and take FILE if it is the same
    --names FILE     name functions of stripped programs by FILE too, which insitu symbols
                     learn made from a program with symbols; may be given several times
    --unwind HOW     how user stacks are walked: cfi by the program's call frame information,
                     fp by frame pointers, auto (default) cfi where the kernel lets it
    --flame FILE.svg|FILE.html
                     at the end, draw a flame graph of a map that is keyed by stacks
                     (@[ustack] = count(), @[comm, ustack, kstack] = sum(…)); the HTML
                     page can be zoomed and searched
    --folded FILE    the same as folded stacks, a line a stack; - is standard output
    --pprof FILE     the same for go tool pprof; FILE.pb.gz
    --speedscope FILE
                     the same for speedscope; FILE.json
    --flame-map @NAME
                     of several such maps, this one; else --flame draws the first, and the
                     others hold all. The maps are printed too, but with -q
    --depth N, --bytes N
                     with object: how deep (2), how much of each object (512)
    --printers FILE  how more types of libraries are printed by what they hold; lines as
                     MyVector<*>  sequence  first=begin_ end=end_ of=#0
                     (src/types/printers.ts tells more)
    --json           as -f json
    --events         with sockets: each call as it happens
    --watch          with sockets: the tables anew each second (SIGUSR1 shows them at any time)
    --explain        with symbols: each place where names could come from, and what is there
    --info           tell what this kernel can do
    --no-feature FEATURE[,FEATURE]
                     do without uprobe_multi, kprobe_multi, kprobe_session
    --traceable-functions FILE
                     the kernel functions that can be probed, a name a line, instead of
                     tracefs's available_filter_functions
    --usdt-file-activation
                     taken and ignored: the kernel itself raises the semaphores of all
                     processes that run the file
    --unsafe         allow system(), signals, and probes where they may break the program
    --fmt            print the script in canonical form, with its comments
    --dry-run        attach everything, run nothing, end
    -d, --debug STAGE
                     print a stage of the compilation: ast, types, ir (or codegen), bpf,
                     or what the kernel's verifier says: verifier
    -V, --version    print the version
    -h, --help       print this

PARAMETERS:
    $1, $2 … in the script are the parameters as numbers, str($1) as text, $# their count.
    Behind --, --name=value is what getopt("name", default) gives; -- --help lists these.

SIGNALS:
    SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGQUIT end the run: END is run and the maps are
    printed; a second one ends it at once. A -c child gets the same signal, and two seconds.
    SIGUSR1 prints all maps and goes on.

EXIT STATUS:
    n after exit(n), 1 after an error, else 0

EXAMPLES:
    insitu sockets -c 'envoy -c envoy.yaml'
        which code listens on which port, is SO_REUSEADDR set, do connections get TCP_NODELAY
    insitu sockets -p PID --events
        the same of a process that runs; its sockets are read without touching it
    insitu -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'
        files that programs open
    insitu -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'
        system calls by program, printed at Ctrl-C
    insitu -e 'uprobe:/usr/bin/node:uv_tcp_bind { printf("%s\\n", ustack); }' -c 'node server.js'
        the code of a program that binds a TCP socket
    insitu -q --flame cpu.html -e 'profile:hz:99 { @[ustack, kstack] = count(); }' -p PID
        where a program spends its time, as a flame graph, at Ctrl-C
    insitu -l 'tracepoint:syscalls:sys_enter_acc*' -v
        tracepoints with their fields
    insitu -l 'uprobe:/usr/bin/node:*uv_tcp*'
        functions of a program
    insitu symbols /usr/bin/node 'uv_tcp.*bind'
        the same by a regular expression, with address, size and source line
    insitu -e 'uprobe:libc:connect { print(args); }'
        arguments by name and type, where the file has debugging information
    insitu types libc 'struct addrinfo'
        how a type lies in memory
`;
