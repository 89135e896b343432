/**
 * From the verifier's log to the script: which instruction was refused, what text it came
 * from, and why, in plain words. A refusal of a program that the compiler accepted is
 * insitu's fault or the kernel's limit, seldom the user's; but the user has to get past it.
 *
 * The log's form is kernel/bpf/verifier.c's: instructions as `12: (79) r1 = …`, register
 * states, the complaint, and a last line `processed N insns …`.
 */
import type { Source, Span } from '../../diag/source.ts';

export interface Refusal {
  /** Slot of the refused instruction; undefined when the log names none (the program as a whole was refused). */
  readonly insn: number | undefined;
  /** The instruction in the verifier's words, '' when not in the log. */
  readonly instruction: string;
  /** Script text the instruction came from. */
  readonly span: Span | undefined;
  /** What is wrong, as a sentence without full stop. */
  readonly complaint: string;
  /** The verifier's own words. */
  readonly kernel: string;
  /** What a user can do about it; may be empty. */
  readonly hints: readonly string[];
  /** The kernel as it was built or started cannot do it: nobody's fault. */
  readonly ofKernel: boolean;
}

interface Explanation {
  readonly pattern: RegExp;
  readonly complaint: (match: RegExpExecArray) => string;
  readonly hints?: readonly string[];
  readonly ofKernel?: boolean;
}

const bounds = 'Limit the value before it is used, e.g. with an if or with & and a constant.';
const shorter = 'Make the probe shorter: fewer loop rounds, smaller unroll counts, or split it into several probes.';

/** First match wins. Group 1 is what the text mentions. */
const EXPLANATIONS: readonly Explanation[] = [
  {
    pattern: /BPF program is too large|too many instructions|program too large/i,
    complaint: () => 'the program is too long for the kernel to check',
    hints: [shorter],
  },
  {
    pattern: /The sequence of (\d+) jumps is too complex/,
    complaint: (match) => `the program has too many ways through it (${match[1]} jumps in a row)`,
    hints: [shorter],
  },
  {
    pattern: /infinite loop detected at insn (\d+)|back-edge from insn (\d+)/,
    complaint: () => 'the kernel cannot see that this loop ends',
    hints: ['Count the rounds with a variable that a constant bounds.'],
  },
  {
    pattern:
      /combined stack size of (\d+) calls is (\d+)|invalid (?:write to|read from|indirect .*) stack .*off=?\s*-(?:5[2-9]\d|[6-9]\d\d)/,
    complaint: () => 'the program needs more than the 512 bytes of stack that it has',
    hints: ['Use fewer $variables at the same time, or put large ones into @maps.'],
  },
  {
    pattern: /cannot call GPL[- ]restricted function/i,
    complaint: () => 'the kernel gives this helper only to programs under the GPL',
    hints: ['Set config = { license = "GPL" }.'],
  },
  {
    pattern: /(?:unknown func|invalid func|cannot use helper) bpf_probe_write_user/,
    complaint: () => 'write_user() needs a kernel that lets programs write into processes',
    hints: ['Lockdown forbids it (/sys/kernel/security/lockdown says integrity or confidentiality).'],
    ofKernel: true,
  },
  {
    pattern: /(?:unknown func|invalid func|cannot use helper) bpf_override_return/,
    complaint: () => 'override() needs a kernel with CONFIG_BPF_KPROBE_OVERRIDE',
    ofKernel: true,
  },
  {
    pattern:
      /(?:unknown func|invalid func) (\S+)|helper call is not allowed|program of this type cannot use helper (\S+)/,
    complaint: (match) => `this kernel does not offer ${helperOf(match)} to this kind of probe`,
    hints: ['A newer kernel may have it; insitu needs at least Linux 5.15.'],
  },
  {
    pattern: /invalid bpf_context access off=(\d+) size=(\d+)/,
    complaint: (match) => `the probe's record has no ${match[2]}-byte value at offset ${match[1]}`,
  },
  {
    pattern: /invalid mem access '([^']*)_or_null'/,
    complaint: () => 'a pointer that may be null is used without a check',
  },
  {
    pattern: /invalid mem access '(?:scalar|inv)'/,
    complaint: () => 'a number is used as an address that the program may read directly',
  },
  {
    pattern: /invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)/,
    complaint: (match) => `${match[3]} bytes at offset ${match[2]} lie outside a map value of ${match[1]} bytes`,
    hints: [bounds],
  },
  {
    pattern:
      /unbounded memory access|unbounded (?:min|max) value|min value is (?:negative|outside)|max value is outside|makes .* pointer be out of bounds|invalid zero-sized read/,
    complaint: () => 'a length or an index is not limited enough for the kernel to know that it stays inside',
    hints: [bounds],
  },
  {
    pattern: /(?:invalid read from stack|invalid indirect read from stack)/,
    complaint: () => 'bytes are read that nothing was written to',
  },
  { pattern: /R(\d+) !read_ok/, complaint: () => 'a value is read that was never set on some way here' },
  {
    pattern: /pointer arithmetic|math between .* pointer|pointer .* prohibited|R\d+ tried to (?:add|subtract|sub)/,
    complaint: () => 'the kernel does not allow this arithmetic on a pointer',
  },
  { pattern: /misaligned .* access/, complaint: () => 'the access is not aligned to its size' },
  {
    pattern: /Unreleased reference|reference .* has not been|BPF_EXIT instruction .*would lead to reference leak/,
    complaint: () => 'a reserved event record is not given back on some way through the probe',
  },
  {
    pattern: /R(\d+) type=(\S+) expected=(.*)/,
    complaint: (match) => `a helper is given ${match[2]} where it takes ${match[3]}`,
  },
  { pattern: /unreachable insn (\d+)/, complaint: () => 'a part of the program can never run' },
];

function helperOf(match: RegExpExecArray): string {
  const name = match[1] ?? match[2];
  return name === undefined ? 'a helper it calls' : name.replace(/#\d+$/, '');
}

const INSTRUCTION = /^(\d+): \([0-9a-f]{2}\) (.*)$/;
const SUMMARY = /^(?:processed \d+ insns|verification time|stack depth|max_states_per_insn|peak_states|mark_read)/;
/** Register states, source lines, branches taken, precision tracking: everything that is no complaint. */
const NARRATION =
  /^(?:;|from \d+ to \d+|\d+: (?:R\d+|frame\d+)|\s*R\d+(?:_w|_rw|_r)?=|propagating|last_idx|regs=|mark_precise|parent |caller:|callee:|frame ?\d+:|returning from callee|to caller|func#\d+ @|Live regs|arg#\d+|Func#\d+ |Validating |\d+: safe|\s*$)/;

/** Reads a log; `spans` as in BpfProgram. */
export function explainRefusal(log: string, spans: Int32Array, source?: Source): Refusal {
  let insn: number | undefined;
  let instruction = '';
  let complaints: string[] = [];
  for (const line of log.split('\n')) {
    const match = INSTRUCTION.exec(line);
    if (match) {
      insn = Number(match[1]);
      // Behind the instruction stands the state of the registers it touched.
      instruction = (match[2] as string).replace(/\s+;.*$/, '').trimEnd();
      complaints = [];
    } else if (!SUMMARY.test(line) && !NARRATION.test(line)) {
      complaints.push(line.trim());
    }
  }
  const kernel = complaints.join('\n');
  // Some complaints come before the walk, or about another instruction than the last one in the log.
  const named =
    /(?:unreachable insn|loop detected at insn|jump out of range from insn|back-edge from insn|insn) (\d+)/.exec(
      kernel,
    );
  if (named) {
    const other = Number(named[1]);
    if (other !== insn) instruction = '';
    insn = other;
  }
  const explanation = EXPLANATIONS.find(({ pattern }) => pattern.test(kernel));
  const match = explanation?.pattern.exec(kernel);
  const complaint =
    explanation && match ? explanation.complaint(match) : (complaints[0] ?? 'the kernel gave no reason');
  const { hints = [], ofKernel = false } = explanation ?? {};
  return { insn, instruction, span: spanOf(insn, spans, source), complaint, kernel, hints, ofKernel };
}

/** The span of a slot, or of the nearest one before it that has any. */
function spanOf(insn: number | undefined, spans: Int32Array, source: Source | undefined): Span | undefined {
  for (let slot = Math.min(insn ?? -1, spans.length / 2 - 1); slot >= 0; slot--) {
    const start = spans[slot * 2] as number;
    const end = spans[slot * 2 + 1] as number;
    if (start >= 0 && (source === undefined || start <= source.text.length)) return { start, end };
  }
  return undefined;
}
