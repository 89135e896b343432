/** A reporter for node:test that writes a line of JSON for each test, for a reader in front of the machine. */
import type { TestEvent } from 'node:test/reporters';

/** A test or a suite that has ended. Those in it come before it, one deeper. */
export interface ToldResult {
  readonly name: string;
  readonly depth: number;
  readonly passed: boolean;
  /** The reason, or '' where none was given; absent when it was not skipped. */
  readonly skip?: string;
  readonly milliseconds: number;
  readonly error?: string;
}

const textOf = (error: unknown): string => {
  const { cause } = error as { cause?: unknown };
  const told = cause ?? error;
  return told instanceof Error ? (told.stack ?? told.message) : String(told);
};

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string, void, void> {
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, nesting, skip, details } = event.data;
    const result: ToldResult = {
      name,
      depth: nesting,
      passed: event.type === 'test:pass',
      ...(skip === undefined || skip === false ? {} : { skip: skip === true ? '' : String(skip) }),
      milliseconds: details.duration_ms,
      ...(event.type === 'test:fail' ? { error: textOf(event.data.details.error) } : {}),
    };
    yield `${JSON.stringify(result)}\n`;
  }
}
