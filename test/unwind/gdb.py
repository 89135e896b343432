# Runs a program under gdb and prints its stacks, return addresses only, one stop a line:
#   STACK <tid> <pc> <pc> …          innermost first, without inlined and tail call frames
# Settings by environment: STOP ("syscall NAME…" or "break LOCATION"), COUNT of stops to
# print, SAVE (a file that gets registers, stack and mappings), READY and GO: files; READY gets the process's id when it stands at its first
# instruction, and the program is let go when GO exists.
import json
import os
import time

import gdb

registers = 'rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip'.split()


def save(pid, pcs, path):
    """What an unwinder needs to come to the same frames: registers, stacks, mappings."""
    newest = gdb.newest_frame()
    stacks = []
    frame = newest
    while frame is not None:
        stacks.append(int(frame.read_register('rsp')) & 2**64 - 1)
        try:
            frame = frame.older()
        except gdb.error:
            break
    with open(f'/proc/{pid}/maps') as file:
        maps = file.read()
    memory = []
    for line in maps.splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split('-'))
        inside = [sp for sp in stacks if start <= sp < end]
        if not inside:
            continue
        first = max(start, min(inside) - 1024)
        last = min(end, max(inside) + 65536)
        data = gdb.selected_inferior().read_memory(first, last - first)
        memory.append({'address': '%x' % first, 'bytes': bytes(data).hex()})
    values = ['%x' % (int(newest.read_register(name)) & 2**64 - 1) for name in registers]
    with open(path, 'w') as file:
        json.dump({'registers': values, 'memory': memory, 'maps': maps, 'frames': pcs}, file)


stop = os.environ['STOP']
count = int(os.environ['COUNT'])
for setting in (
    'pagination off',
    'confirm off',
    'debuginfod enabled off',
    'backtrace past-main on',
    'backtrace past-entry on',
    'backtrace limit 2000',
    'breakpoint pending on',
    'disable-randomization on',
    'non-stop off',
    'startup-with-shell off',
):
    gdb.execute('set ' + setting)
for signal in ('SIGURG', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCHLD', 'SIGPIPE', 'SIGPROF', 'SIGVTALRM'):
    gdb.execute(f'handle {signal} nostop noprint pass', to_string=True)
gdb.execute('starti', to_string=True)
pid = gdb.selected_inferior().pid
ready = os.environ.get('READY')
if ready:
    with open(ready + '.part', 'w') as file:
        file.write(str(pid))
    os.rename(ready + '.part', ready)
    for _ in range(3000):
        if os.path.exists(os.environ['GO']):
            break
        time.sleep(0.01)
gdb.execute(('catch ' if stop.startswith('syscall') else '') + stop, to_string=True)
entering = True
printed = 0
inside = set()
try:
    while printed < count:
        gdb.execute('continue', to_string=True)
        thread = gdb.selected_thread()
        if thread is None:
            break
        tid = thread.ptid[1] or thread.ptid[2]
        if stop.startswith('syscall'):
            # A system call stops twice, at its start and at its end.
            if tid in inside:
                inside.discard(tid)
                continue
            inside.add(tid)
        pcs = []
        frame = gdb.newest_frame()
        while frame is not None:
            if (frame.name() or '').startswith('Builtins_'):
                # Code of V8, of which gdb knows nothing: its frames are linked by rbp, up to the entry from C++.
                pcs.append('%x' % frame.pc())
                word = gdb.lookup_type('unsigned long').pointer()
                link = int(frame.read_register('rbp'))
                while link:
                    words = gdb.Value(link).cast(word)
                    name = gdb.execute('info symbol %d' % int(words[1]), to_string=True)
                    pcs.append('%x' % int(words[1]))
                    if name.startswith('Builtins_JSEntry'):
                        break
                    link = int(words[0])
                pcs.append('…')
                break
            if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                pcs.append('%x' % frame.pc())
            try:
                frame = frame.older()
            except gdb.error:
                break
        print('STACK', tid, *pcs, flush=True)
        if 'SAVE' in os.environ:
            save(pid, pcs, os.environ['SAVE'] + (f'.{printed}' if count > 1 else ''))
        printed += 1
    if stop.startswith('syscall'):
        # The tracepoint comes behind gdb's stop.
        gdb.execute('continue', to_string=True)
        time.sleep(0.2)
except gdb.error as error:
    print('ENDED', error, flush=True)
try:
    gdb.execute('kill', to_string=True)
except gdb.error:
    pass
