/** skboutput: copies of packets on their way to a file (bpf_skb_output, for programs with typed arguments). */
import { int64 } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { literal, needsTyped, ofTyped, only } from './typedpointer.ts';

/** The size of a record in the ring has 16 bits, and there are 36 bytes around the packet. */
const mostBytes = 0xff00;
/** -EFAULT: what the helper says of no packet. */
const noPacket = -14;
/** struct bpf_perf_event_output's BPF_F_CURRENT_CPU; above it are the bytes of the packet. */
const currentCpu = 0xffff_ffffn;

interface Note {
  readonly path: string;
  readonly chain: Expr;
}

export const skboutputFunction: BuiltinFunction = {
  name: 'skboutput',
  signature: 'skboutput("file.pcap", struct sk_buff *, length, offset)',
  about:
    "appends a packet's first `length` bytes, without the first `offset`, to a file in pcap form; 0, or minus errno",
  arity: [4, 4],
  statementOnly: true,
  type: (sema, call) => {
    only(sema, call, ['fentry', 'fexit', 'rawtracepoint']);
    const path = literal(sema, call, 0);
    if (path === '')
      sema.error('literal-expected', 'skboutput() takes the name of a file', (call.args[0] as Expr).span);
    const chain = needsTyped(sema, call, 1, 'sk_buff', true);
    if (path !== undefined && chain !== undefined) sema.facts.notes.set(call, { path, chain } satisfies Note);
    sema.integerArgument(call, 2);
    sema.integerArgument(call, 3);
    const offset = sema.constant(call.args[3]);
    if (offset === undefined || offset < 0n || offset > BigInt(mostBytes)) {
      sema.error(
        'literal-expected',
        'skboutput() takes an offset that is known when the script is compiled',
        (call.args[3] as Expr).span,
        '0, or 14 where the packet still begins with the Ethernet header',
      );
    }
    return int64;
  },
  scalar: (low, call) => {
    const { b, assets } = low;
    const { path, chain } = low.facts.notes.get(call) as Note;
    const index = assets.packet({ path, offset: Number(low.constantOf(call.args[3] as Expr) ?? 0n) });
    const wanted = low.scalar(call.args[2] as Expr);
    const bytes = b.reg();
    const fits = b.label();
    b.mov(bytes, wanted);
    b.branch('ule', bytes, { imm: mostBytes }, fits);
    b.push({ op: 'const', dst: bytes, value: BigInt(mostBytes) });
    b.place(fits);
    return ofTyped(low, chain, noPacket, (packet) => {
      const head = low.temporary(24);
      b.store(head.base, head.offset, 4, { imm: index });
      b.store(head.base, head.offset + 4, 4, bytes);
      b.store(head.base, head.offset + 8, 8, wanted);
      b.store(head.base, head.offset + 16, 8, b.call(bpfHelper.ktime_get_boot_ns, []));
      const flags = b.alu('or', b.alu('shl', bytes, { imm: 32 }), b.const(currentCpu));
      return b.call(bpfHelper.skb_output, [
        packet,
        b.map(assets.packetsMap()),
        flags,
        low.addressOf(head),
        { imm: 24 },
      ]);
    });
  },
};
