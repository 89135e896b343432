/** `insitu symbols learn` and `--names`: what one build teaches of another without symbols. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { listedSymbols, output, Workshop } from './binaries.ts';
import { insitu, lacking } from './insitu.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const shop = `
#include <cstdio>
namespace shop {
struct Basket { virtual ~Basket(); virtual int total(int items); virtual int weight(); };
Basket::~Basket() { puts("emptied"); }
int Basket::total(int items) { int sum = 3; for (int i = 0; i < items; i++) sum += i * printf("%d", sum); return sum; }
int Basket::weight() { return 7; }
__attribute__((noinline)) int sell(Basket &basket) { return basket.total(4) + basket.weight(); }
}
`;
const before = `${shop} int main() { shop::Basket basket; return shop::sell(basket); }`;
const now = `int twice(int x) { return x * 2; } ${shop} int main(int argc, char **) { shop::Basket *basket = new shop::Basket; return twice(shop::sell(*basket)) + argc; }`;

describe('names learnt from another build', { skip: lacking('gcc', 'nm') }, () => {
  const names = workshop.path('shop.names');
  const build = (name: string, source: string): string => {
    const path = workshop.path(name);
    output('g++', ['-O2', '-o', path, workshop.write(`${name}.cc`, source)]);
    return path;
  };

  test('virtual functions get their own names', async () => {
    const learnt = await insitu(['symbols', 'learn', build('before', before), '-o', names]);
    assert.equal(learnt.status, 0, learnt.stderr);
    const path = build('now', now);
    const stripped = `${path}.stripped`;
    output('strip', ['-s', '-o', stripped, path]);
    for (const [symbol, name, without] of [
      ['_ZN4shop6Basket5totalEi', '~shop::Basket::total', '~shop::Basket::vfunc[2]'],
      ['_ZN4shop6Basket6weightEv', '~shop::Basket::weight', '~shop::Basket::vfunc[3]'],
    ] as const) {
      const wanted = listedSymbols(path).find((one) => one.name === symbol);
      assert.ok(wanted !== undefined);
      for (const [more, shown] of [
        [['--names', names], name],
        [[], without],
      ] as const) {
        const { status, stdout, stderr } = await insitu(['symbols', stripped, 'Basket', '--json', ...more]);
        assert.equal(status, 0, stderr);
        const data = stdout
          .trimEnd()
          .split('\n')
          .map((line) => (JSON.parse(line) as { data: Record<string, unknown> }).data);
        const found: Record<string, unknown> | undefined = data.find(
          ({ address }) => address === `0x${wanted.address.toString(16)}`,
        );
        assert.equal(found?.['name'], shown);
        if (more.length > 0) assert.match(String(found?.['evidence']), /learnt from before /);
      }
    }
  });

  test('what cannot be learnt from, or is no file of names, is told', async () => {
    const path = workshop.path('nothing');
    output('strip', ['-s', '-o', path, build('whole', 'int main() { return 0; }')]);
    const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
      [['symbols', 'learn', path], /ERROR: .* has no symbols to learn from\n/],
      [['symbols', path, 'x', '--names', '/etc/passwd'], /ERROR: \/etc\/passwd line 1: this is no file of names/],
      [['symbols', path, 'x', '--names', '/no/such'], /ERROR: can't read the names in \/no\/such/],
      [['--names', '/etc/passwd', '-e', 'BEGIN { exit(); }'], /ERROR: \/etc\/passwd line 1/],
      [['symbols', 'learn', path, 'more'], /symbols learn takes one program/],
    ];
    for (const [args, message] of cases) {
      const { status, stderr } = await insitu(args);
      assert.equal(status, 1, args.join(' '));
      assert.match(stderr, message);
    }
  });
});
