/**
 * The scripts behind `insitu sockets`: what they print is read by event.ts. A socket is
 * known by the address of its struct sock, whatever descriptors it has in whatever
 * processes, so that dup(), fork() and SCM_RIGHTS need no bookkeeping.
 */

/** What is to be watched: processes and their children, or everything. */
export interface Scope {
  /** The processes; empty: all of them. */
  readonly pids: readonly number[];
  /** The process of -c, known to the script as cpid. */
  readonly child: boolean;
  /** The tracer itself: it is never watched. */
  readonly self: number;
  /** Every call is to be told, each with its stack; else those that the report needs. */
  readonly events: boolean;
}

/** Of a struct sock: what it is, its addresses and its options as they stand. Field names as event.ts reads them. */
const facts = `
macro facts(sk) {
  let $s = (struct sock *)sk;
  let $t = (struct tcp_sock *)sk;
  let $tcp = $s->sk_protocol == 6;
  (family = $s->__sk_common.skc_family, type = $s->sk_type, protocol = $s->sk_protocol,
   state = $s->__sk_common.skc_state, port = $s->__sk_common.skc_num, peer_port = bswap($s->__sk_common.skc_dport),
   local4 = ntop(2, $s->__sk_common.skc_rcv_saddr), peer4 = ntop(2, $s->__sk_common.skc_daddr),
   local6 = ntop(10, $s->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8),
   peer6 = ntop(10, $s->__sk_common.skc_v6_daddr.in6_u.u6_addr8),
   reuse = (uint8)$s->__sk_common.skc_reuse, reuseport = (uint8)$s->__sk_common.skc_reuseport,
   v6only = (uint8)$s->__sk_common.skc_ipv6only, keepalive = ($s->__sk_common.skc_flags >> 3) & 1,
   shutdown = (uint8)$s->sk_shutdown, backlog = $s->sk_max_ack_backlog, queue = $s->sk_ack_backlog,
   nodelay = $tcp ? (int64)$t->nonagle & 1 : 0, received = $tcp ? $t->bytes_received : 0,
   sent = $tcp ? $t->bytes_acked : 0)
}
`;

/** A descriptor's struct sock; 0 when it is no socket. struct socket stands behind the file of one (net/socket.c). */
const socketOf = `
macro socket_of(fd) {
  let $file = curtask->files->fdt->fd[fd];
  let $socket = (struct socket *)$file->private_data;
  ($file->f_inode->i_mode & 0170000) == 0140000 ? (uint64)$socket->sk : 0
}
`;

/** Each socket that is open now, once for each descriptor. */
export function openSocketsScript({ pids, self }: Pick<Scope, 'pids' | 'self'>): string {
  const wanted =
    pids.length === 0 ? `ctx->task->tgid != ${self}` : pids.map((pid) => `ctx->task->tgid == ${pid}`).join(' || ');
  // Threads share the table of files: only the first one of a process is looked at.
  return `${facts}
iter:task_file {
  if (ctx->task->pid == ctx->task->tgid && (${wanted})) {
    if ((ctx->file->f_inode->i_mode & 0170000) == 0140000) {
      $socket = (struct socket *)ctx->file->private_data;
      $sk = (uint64)$socket->sk;
      $path = (struct unix_sock *)$sk;
      $name = $path->addr;
      print((call = "open", at = nsecs, pid = (int32)ctx->task->tgid, comm = ctx->task->comm, fd = (int64)ctx->fd, sk = $sk,
             facts = facts($sk),
             path = $socket->sk->__sk_common.skc_family == 1 && $name != 0 ? str((uint8 *)$name + 14, 108) : ""));
    }
  }
}
`;
}

/** Stacks of a process's calls of one kind that are taken in a second. */
export const mostStacks = 100;

/** Descriptors of a process that ends whose sockets are looked at. */
const lastCounts = 1024;

/** Probes on the system calls; the two names are those of the entry and of the exit. */
function pair(call: string, enter: string, exit: string, names: readonly string[] = [call]): string {
  const list = (way: string): string => names.map((name) => `tracepoint:syscalls:sys_${way}_${name}`).join(',\n');
  return `
${list('enter')} /TRACED/ { ${enter} }
${list('exit')} /has_key(@${call}, tid)/ { ${exit}
  delete(@${call}, tid);
}
`;
}

/** Head of an event: which call, when it began, by whom. */
const head = (call: string): string =>
  `call = "${call}", at = $a.0, took = nsecs - $a.0, pid = pid, tid = tid, comm = leader_comm, thread = comm`;

/** What the calls that the kernel only counts have come to: accept() that found nobody, by the listener's struct sock. */
const emptyAccepts = (sk: string): string =>
  `print((call = "empty", at = nsecs, pid = (int32)0, comm = "", fd = (int64)-1, sk = ${sk},
    empty = (int64)@empty[${sk}], spurious = (int64)@spurious[${sk}]));`;

/**
 * Whether this call's stack is to be taken: of each process's calls of a kind, so many a
 * second. A server that accepts thousands of connections a second does so by the same
 * code, and a stack costs more than all else.
 */
const wantsStack = `
macro wants_stack(@since, @taken, kind) {
  let $now = nsecs;
  let $call = (pid, (int64)kind);
  if ($now - @since[$call] > 1000000000) { @since[$call] = $now; @taken[$call] = (uint64)0; }
  @taken[$call] = @taken[$call] + 1;
  @taken[$call] <= ${mostStacks}
}
`;

/** How often those are told while the script runs. */
const tellEvery = '500ms';

export function socketCallsScript({ pids, child, self, events }: Scope): string {
  // A server under load accepts and closes thousands of connections a second: a stack that nobody looks at costs most.
  const stack = events ? 'ustack' : '0';
  /** A record with the stack of its call, or, when there are too many of its kind, without. */
  const withStack = (record: string, kind: string): string =>
    events
      ? `print((${record}, ustack));`
      : `$record = ${record};
  if (wants_stack(@since, @taken, ${kind})) { print(($record, ustack)); } else { print($record); }`;
  const all = pids.length === 0 && !child;
  const traced = all ? 'pid != $SELF' : 'has_key(@traced, pid)';
  const begin = [...pids.map(String), ...(child ? ['cpid'] : [])]
    .map((pid) => `@traced[(uint32)${pid}] = 1;`)
    .join(' ');
  const script = `config = { print_maps_on_exit = false; max_map_keys = 65536; missing_probes = "ignore" }
// Small: they are gone through twice a second.
let @empty = percpuhash(1024);
let @spurious = percpuhash(1024);
${socketOf}${facts}${events ? '' : wantsStack}
BEGIN { @traced[(uint32)0] = 0; ${begin} }
${pair(
  'socket',
  '@socket[tid] = (nsecs, (int64)args.type);',
  `$a = @socket[tid]; $fd = args.ret; $sk = $fd >= 0 ? socket_of($fd) : 0;
  print(((${head('socket')}, ret = $fd, fd = $fd, sk = $sk, flags = $a.1, facts = facts($sk)), ustack));`,
)}${pair(
  'setsockopt',
  '@setsockopt[tid] = (nsecs, args.fd, args.level, args.optname, (uint64)args.optval, args.optlen);',
  `$a = @setsockopt[tid];
  ${withStack(
    `(${head('setsockopt')}, ret = args.ret, fd = (int64)$a.1, sk = socket_of($a.1), level = $a.2, option = $a.3, size = (int64)$a.5,
    value = buf((uint8 *)$a.4, 32))`,
    '(int64)$a.2 * 65536 + (int64)$a.3',
  )}`,
)}${pair(
  'getsockopt',
  '@getsockopt[tid] = (nsecs, args.fd, args.level, args.optname, (uint64)args.optval, (uint64)args.optlen);',
  `$a = @getsockopt[tid];
  ${events ? '' : 'if (args.ret >= 0) { delete(@getsockopt, tid); return; }'}
  print(((${head('getsockopt')}, ret = args.ret, fd = (int64)$a.1, sk = socket_of($a.1), level = $a.2, option = $a.3,
    size = (int64)*(int32 *)$a.5, value = buf((uint8 *)$a.4, 32)), ustack));`,
)}${pair(
  'bind',
  '@bind[tid] = (nsecs, args.fd, (uint64)args.umyaddr, args.addrlen);',
  `$a = @bind[tid]; $sk = socket_of($a.1);
  print(((${head('bind')}, ret = args.ret, fd = (int64)$a.1, sk = $sk, size = (int64)$a.3, address = buf((uint8 *)$a.2, 110), facts = facts($sk)), ustack));`,
)}${pair(
  'connect',
  '@connect[tid] = (nsecs, args.fd, (uint64)args.uservaddr, args.addrlen);',
  `$a = @connect[tid]; $sk = socket_of($a.1);
  print(((${head('connect')}, ret = args.ret, fd = (int64)$a.1, sk = $sk, size = (int64)$a.3, address = buf((uint8 *)$a.2, 110), facts = facts($sk)), ustack));`,
)}${pair(
  'listen',
  '@listen[tid] = (nsecs, args.fd, args.backlog);',
  `$a = @listen[tid]; $sk = socket_of($a.1);
  print(((${head('listen')}, ret = args.ret, fd = (int64)$a.1, sk = $sk, asked = (int64)(int32)$a.2, facts = facts($sk)), ustack));`,
)}${pair(
  'accept',
  '@accept[tid] = (nsecs, args.fd);',
  `$a = @accept[tid]; $fd = args.ret; $sk = $fd >= 0 ? socket_of($fd) : 0;
  // Woken by epoll, and nobody was there: another thread took the connection.
  $idle = $fd == -11 && has_key(@woken, tid);
  if ($fd == -11) {
    $listener = socket_of($a.1);
    @empty[$listener] = count();
    if ($idle) { @spurious[$listener] = count(); }
    ${events ? '' : 'delete(@woken, tid); delete(@accept, tid); return;'}
  }
  ${withStack(
    `(${head('accept')}, ret = $fd, fd = $fd, sk = $sk, listener = socket_of($a.1), listener_fd = (int64)$a.1,
    spurious = $idle, facts = facts($sk))`,
    '(int64)-1',
  )}
  delete(@woken, tid);`,
  ['accept', 'accept4'],
)}${pair(
  'shutdown',
  '@shutdown[tid] = (nsecs, args.fd, args.how);',
  `$a = @shutdown[tid]; $sk = socket_of($a.1);
  print(((${head('shutdown')}, ret = args.ret, fd = (int64)$a.1, sk = $sk, how = (int64)$a.2, facts = facts($sk)), ustack));`,
)}
tracepoint:syscalls:sys_enter_close /TRACED/ {
  $sk = socket_of(args.fd);
  if ($sk != 0) {
    print(((call = "close", at = nsecs, took = (uint64)0, pid = pid, tid = tid, comm = leader_comm, thread = comm, ret = (int64)0, fd = (int64)args.fd,
      sk = $sk, facts = facts($sk)), ${stack}));
    if (has_key(@empty, $sk)) { ${emptyAccepts('$sk')} delete(@empty, $sk); delete(@spurious, $sk); }
  }
}

interval:${tellEvery}, END {
  for ($kv : @empty) { $listening = $kv.0; ${emptyAccepts('$listening')} }
}

tracepoint:syscalls:sys_exit_epoll_wait,
tracepoint:syscalls:sys_exit_epoll_pwait,
tracepoint:syscalls:sys_exit_epoll_pwait2
/TRACED/ {
  if (args.ret > 0) { @woken[tid] = 1; } else { delete(@woken, tid); }
}

// dup(), dup2(), dup3(), fcntl(F_DUPFD): the number is the one returned.
tracepoint:syscalls:sys_exit_dup,
tracepoint:syscalls:sys_exit_dup2,
tracepoint:syscalls:sys_exit_dup3
/TRACED/ {
  $fd = args.ret; $sk = $fd >= 0 ? socket_of($fd) : 0;
  if ($sk != 0) { print((call = "dup", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm, fd = $fd, sk = $sk)); }
}
${pair(
  'fcntl',
  'if (args.cmd == 0 || args.cmd == 1030) { @fcntl[tid] = 1; }',
  `$fd = args.ret; $sk = $fd >= 0 ? socket_of($fd) : 0;
  if ($sk != 0) { print((call = "dup", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm, fd = $fd, sk = $sk)); }`,
)}
// Descriptors that arrive over a UNIX socket: the first of an SCM_RIGHTS message.
${pair(
  'recvmsg',
  '@recvmsg[tid] = (uint64)args.msg;',
  `$m = (struct user_msghdr *)@recvmsg[tid];
  if (args.ret >= 0 && $m->msg_controllen >= 20) {
    $c = (struct cmsghdr *)(uint64)$m->msg_control;
    if ($c->cmsg_level == 1 && $c->cmsg_type == 1) {
      $fd = (int64)*(int32 *)((uint64)$c + 16); $sk = $fd >= 0 ? socket_of($fd) : 0;
      print((call = "received", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm, fd = $fd, sk = $sk,
        descriptors = (int64)(($c->cmsg_len - 16) / 4)));
    }
  }`,
)}
tracepoint:syscalls:sys_exit_io_uring_setup /TRACED/ {
  if (args.ret >= 0) { print((call = "io_uring", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm)); }
}

tracepoint:sched:sched_process_exec /TRACED/ {
  print((call = "exec", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm));
}

tracepoint:sched:sched_process_exit /TRACED && pid == tid/ {
  // Its sockets are still open (exit_files() comes later in do_exit(), kernel/exit.c): their last counts.
  for ($fd : 0..${lastCounts}) {
    if ($fd < (int64)curtask->files->fdt->max_fds) {
      $sk = socket_of($fd);
      if ($sk != 0) {
        print((call = "last", at = nsecs, pid = pid, comm = leader_comm, fd = $fd, sk = $sk, facts = facts($sk)));
      }
    }
  }
  print((call = "exit", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm));
  ${all ? '' : 'delete(@traced, pid);'}
}

tracepoint:task:task_newtask /TRACED/ {
  // CLONE_THREAD: no process of its own.
  if ((args.clone_flags & 0x10000) == 0) {
    ${all ? '' : '@traced[(uint32)args.pid] = 1;'}
    print((call = "fork", at = nsecs, pid = pid, tid = tid, comm = leader_comm, thread = comm, child = (int64)args.pid));
  }
}
`;
  return script.replaceAll('TRACED', traced).replaceAll('$SELF', String(self));
}
