/**
 * The entry: a script's text to its syntax tree. Ruled by bpftrace's language
 * reference (0.26): what may stand at the top level, in any order but that config
 * comes before the probes.
 */
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Source } from '../../diag/source.ts';
import type { ConfigAssign, Preamble, ProbeBlock, Script } from './ast.ts';
import { Directives } from './directives.ts';
import { parseExpression } from './expressions.ts';
import { make, Parser, type Rules } from './parser.ts';
import { parseCDefinition, parseConfig, parseImport, parseMacroDefinition, parseMapDeclaration } from './preamble.ts';
import { parseProbe, skipToItem } from './probes.ts';
import { unwind, unwindProbe, unwindScript } from './report.ts';
import { parseBlock, parseIfExpression } from './statements.ts';

const rules: Rules = { expression: parseExpression, block: parseBlock, ifExpression: parseIfExpression };

/** Words that begin something else than a probe, by what follows them. */
const leading =
  /(?:(config)\s*=\s*[^A-Za-z_\s]|(import)\s*(?:"|$)|(macro)\s+[A-Za-z_]|(let)\s+[@$A-Za-z_]|(struct|union|enum|class)(?:\s+[A-Za-z_]\w*)?\s*(?::(?!:)[^{};]*)?[{;]|(typedef)\s|(fn|function|def)\s+\w+\s*\(|(static|extern|inline)\s)/y;

/**
 * Parses a script. Errors go to `diagnostics`; the tree then holds what could be read.
 * Never throws, and takes time in proportion to the text.
 */
export function parse(source: Source, diagnostics: Diagnostics): Script {
  const p = new Parser(source, diagnostics, rules);
  const directives = new Directives(p);
  const preamble: Preamble[] = [];
  const config: ConfigAssign[] = [];
  const probes: ProbeBlock[] = [];
  const { text } = source;
  if (text.charCodeAt(0) === 0xfeff) p.lexer.at = 1;
  let shebang: string | undefined;
  if (text.startsWith('#!', p.lexer.at)) {
    const newline = text.indexOf('\n');
    shebang = text.slice(p.lexer.at, newline < 0 ? undefined : newline).trimEnd();
    p.lexer.at = newline < 0 ? text.length : newline;
  }
  try {
    for (p.lexer.skipTrivia(); p.lexer.at < text.length; p.lexer.skipTrivia()) {
      const start = p.lexer.at;
      p.end = start;
      try {
        parseItem(p, directives, preamble, config, probes);
      } catch (reason) {
        if (reason !== unwind && reason !== unwindProbe) throw reason;
        p.resumeRaw();
        if (reason === unwind) skipToItem(p);
      }
    }
    directives.finish();
  } catch (reason) {
    if (reason !== unwindScript) throw reason;
  }
  return make({
    node: 'script',
    span: make({ start: 0, end: text.length }),
    shebang,
    preamble: make(preamble),
    config: make(config),
    probes: make(probes),
    comments: make(p.lexer.comments),
    directives: make(directives.skipped),
  });
}

function parseItem(
  p: Parser,
  directives: Directives,
  preamble: Preamble[],
  config: ConfigAssign[],
  probes: ProbeBlock[],
): void {
  const { text } = p;
  const start = p.lexer.at;
  const first = text[start];
  p.depth = 0;
  p.open.length = 0;
  p.suspect = undefined;
  p.stream.rewind(start);
  if (first === '#') {
    const node = directives.read();
    p.stream.rewind(p.end);
    if (node !== undefined) preamble.push(node);
    return;
  }
  if (first === '}' || first === ';') {
    p.lexer.at++;
    if (first === '}') {
      p.error(
        'unexpected-brace',
        "unexpected '}': no block is open here",
        { start, end: start + 1 },
        'count the braces of the block above',
      );
    }
    return;
  }
  leading.lastIndex = start;
  const word = leading.exec(text);
  const keyword = word?.slice(1).find((group) => group !== undefined);
  switch (keyword) {
    case undefined: {
      const probe = parseProbe(p);
      if (probe !== undefined) probes.push(probe);
      return;
    }
    case 'config': {
      const span = { start, end: start + 'config'.length };
      if (probes.length > 0)
        p.error('misplaced-config', 'config stands before the probes', span, 'move it to the top of the script');
      for (const item of parseConfig(p)) config.push(item);
      break;
    }
    case 'import':
      preamble.push(parseImport(p));
      break;
    case 'macro':
      p.chain = 0;
      preamble.push(parseMacroDefinition(p));
      break;
    case 'let':
      preamble.push(parseMapDeclaration(p));
      break;
    case 'fn':
    case 'function':
    case 'def':
      p.fail(
        'unknown-keyword',
        `there are no functions ('${keyword}') in this language`,
        { start, end: start + keyword.length },
        `write a macro: macro name($a, @b, c) { ... }`,
      );
      break;
    case 'static':
    case 'extern':
    case 'inline':
      p.fail(
        'unknown-keyword',
        `'${keyword}': of C a script can hold types only`,
        { start, end: start + keyword.length },
        'struct, union, enum and typedef may be declared',
      );
      break;
    default:
      preamble.push(parseCDefinition(p));
  }
  p.resumeRaw();
}
