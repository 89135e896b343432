/**
 * usdt:BINARY:[PROVIDER:]NAME, with wildcards in provider and name: trace points that a
 * program's source defines. One name may stand at many places of the code, each with its
 * arguments in other registers: places with the same arguments share one compilation.
 */
import { nearest } from '../../base/near.ts';
import type { Binary, UsdtProbe } from '../../target/target.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { Attachment, ProbeContext } from './context.ts';
import { globToRegExp, isGlob, kernelName, splitColons } from './pattern.ts';
import type { ExpandOptions, Provider } from './provider.ts';
import { parseUsdtArguments, type UsdtArgument } from './usdtargs.ts';

const unquoted = (text: string): string => text.replace(/^"(.*)"$/s, '$1');

export const usdt: Provider = (point, rest, options) => {
  const { diagnostics, target } = options;
  const parts = splitColons(rest).map(unquoted);
  // `-p PID` alone may say which file: usdt:NAME would be ambiguous with usdt:BIN.
  const [path = '', second = '', third] = parts;
  if (path === '' || second === '' || parts.length > 3) {
    diagnostics.error(
      'probe-form',
      'usdt takes a file and the name of a trace point',
      point.span,
      'usdt:/usr/bin/python3:function__entry, usdt:BIN:PROVIDER:NAME; -l lists what there is',
    );
    return [];
  }
  const provider = third === undefined ? '*' : second;
  const name = third ?? second;
  const binaries: Binary[] = [];
  for (const one of isGlob(path) ? target.programFiles(path, options.pid) : [path]) {
    const opened = target.binary(one, options.pid);
    if (opened.ok) binaries.push(opened.value);
    else if (!isGlob(path)) {
      diagnostics.error('no-binary', opened.error.message, point.restSpan, ...opened.error.hints);
      return [];
    }
  }
  const wanted = globToRegExp(`${provider === '' ? '*' : provider}:${name}`);
  const found = binaries.flatMap((binary) =>
    binary
      .usdt()
      .filter((one) => wanted.test(`${one.provider}:${one.name}`))
      .map((one) => ({ binary, one })),
  );
  if (found.length === 0) return missing(point, path, binaries, name, options);
  if (third === undefined && !isGlob(name)) {
    const providers = [...new Set(found.map(({ one }) => one.provider))];
    if (providers.length > 1) {
      diagnostics.error(
        'ambiguous-probe',
        `${providers.length} providers in ${path} have a trace point '${name}'`,
        point.restSpan,
        `name one: ${providers.map((one) => `usdt:${path}:${one}:${name}`).join(', ')}; or all: usdt:${path}:*:${name}`,
      );
      return [];
    }
  }
  const groups = new Map<string, { readonly args: readonly UsdtArgument[]; readonly attachments: Attachment[] }>();
  for (const { binary, one } of found) {
    const place = attachment(one, binary, options);
    if (typeof place === 'string') {
      diagnostics.error('bad-address', place, point.restSpan);
      return [];
    }
    const args = options.usesNumbered ? located(one, binary, target.arch) : [];
    const key = args.map((arg) => `${arg.text} ${arg.distance ?? ''}`).join('\n');
    const group = groups.get(key);
    if (group) group.attachments.push(place);
    else groups.set(key, { args, attachments: [place] });
  }
  return [...groups.values()].map(
    ({ args, attachments }): ProbeContext => ({
      provider: 'usdt',
      programType: 'KPROBE',
      attachments,
      span: point.span,
      shortName: kernelName(name),
      usdtArguments: args,
      registers: true,
      userMemory: true,
      hasProcess: true,
    }),
  );
};

function attachment(one: UsdtProbe, binary: Binary, options: ExpandOptions): Attachment | string {
  const offset = binary.toFileOffset(one.address);
  if (!offset.ok) return offset.error.message;
  const semaphore = one.semaphore === undefined ? undefined : binary.toFileOffset(one.semaphore, 'any');
  if (semaphore?.ok === false) return semaphore.error.message;
  return {
    spec: {
      kind: 'usdt',
      path: binary.path,
      offset: offset.value,
      symbol: `${one.provider}:${one.name}`,
      ...(semaphore === undefined ? {} : { semaphore: semaphore.value }),
      ...(options.pid === undefined ? {} : { pid: options.pid }),
    },
    name: `usdt:${binary.path}:${one.provider}:${one.name}`,
  };
}

/** The arguments, with the way from the probe to the objects that they name. */
function located(one: UsdtProbe, binary: Binary, arch: 'x86_64' | 'arm64'): readonly UsdtArgument[] {
  return parseUsdtArguments(one.arguments, arch).map((arg): UsdtArgument => {
    if (arg.operand.kind !== 'object') return arg;
    const object = binary.object(arg.operand.name);
    if (object === undefined) {
      return { ...arg, operand: { kind: 'unreadable', reason: `${binary.path} has no symbol ${arg.operand.name}` } };
    }
    return { ...arg, distance: object.address + Number(arg.operand.displacement) - one.address };
  });
}

function missing(
  point: AttachPointSyntax,
  path: string,
  binaries: readonly Binary[],
  name: string,
  options: ExpandOptions,
): [] {
  const names = [...new Set(binaries.flatMap((binary) => binary.usdt().map((one) => one.name)))];
  const near = nearest(name, names, 3);
  const message =
    names.length === 0
      ? `${path} has no trace points (no section .note.stapsdt)`
      : `${path} has no trace point '${name}'`;
  const list = names.length > 0 ? [`-l 'usdt:${path}:*' lists what it has`] : [];
  const hints = near.length > 0 ? [`did you mean ${near.join(' or ')}?`] : list;
  if (options.missing === 'error') options.diagnostics.error('no-usdt', message, point.restSpan, ...hints);
  else if (options.missing === 'warn') options.diagnostics.warning('no-usdt', message, point.restSpan, ...hints);
  return [];
}
