/** The `-d types` printer: maps, variables and where they are declared. */
import { describe } from '../../types/layout.ts';
import type { ProbeContext } from '../probes/context.ts';
import type { MapInfo } from './scope.ts';
import type { BlockFacts } from './sema.ts';

export function printTypes(
  maps: Iterable<MapInfo>,
  blocks: readonly { readonly context: ProbeContext; readonly facts: BlockFacts }[],
): string {
  const lines: string[] = [];
  for (const map of maps) {
    const keys = (map.keys ?? []).map(describe).join(', ');
    lines.push(`@${map.name}${keys === '' ? '' : `[${keys}]`}: ${describe(map.value)}`);
  }
  for (const { context, facts } of blocks) {
    lines.push(
      '',
      context.attachments.length > 3
        ? `${context.provider} (${context.attachments.length} probes)`
        : context.attachments.map((a) => a.name).join(', '),
    );
    for (const info of new Set(facts.variables.values())) lines.push(`  $${info.name}: ${describe(info.type)}`);
  }
  return `${lines.join('\n')}\n`;
}
