/* Functions that log what they were given and what they give back, a line each: `name value`. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define LOG(...) fprintf(stderr, __VA_ARGS__)

enum color { RED, GREEN = 5, BLUE = -3 };
struct point { int x, y; };
struct pair { long first; char second; };
struct triple { long a, b, c; };
struct mixed { double d; int i; };
struct reals { double a, b; };
struct flags { unsigned a : 3, b : 5; int c : 7; unsigned long long d : 40; _Bool e : 1; };
union number { int i; unsigned char bytes[8]; long l; };
struct node { int value; struct node *next; const char *label; char name[12]; union number n; struct { short in, out; }; int grid[2][3]; };
typedef long (*callback)(int);

KEPT void integers(signed char c, unsigned char uc, short s, unsigned short us, int i, unsigned u) {
  LOG("integers.c %d\nintegers.uc %d\nintegers.s %d\nintegers.us %d\nintegers.i %d\nintegers.u %u\n", c, uc, s, us, i, u);
}
KEPT void longs(long l, unsigned long ul, long long ll, uint64_t u64, int64_t i64, size_t size, long seventh, int eighth, char ninth) {
  LOG("longs.l %ld\nlongs.ul %lu\nlongs.ll %lld\nlongs.u64 %llu\nlongs.i64 %lld\nlongs.size %zu\nlongs.seventh %ld\nlongs.eighth %d\nlongs.ninth %d\n",
      l, ul, ll, (unsigned long long)u64, (long long)i64, size, seventh, eighth, ninth);
}
KEPT void others(_Bool yes, enum color color, const char *text, void *pointer, callback call) {
  LOG("others.yes %s\nothers.color %s\nothers.text %s\nothers.pointer %p\nothers.call %p\n", yes ? "true" : "false",
      color == RED ? "RED" : color == GREEN ? "GREEN" : "BLUE", text, pointer, (void *)call);
}
KEPT void structs(struct point point, struct pair pair, struct triple triple, int after) {
  LOG("structs.point { .x = %d, .y = %d }\nstructs.pair.first %ld\nstructs.pair.second %d\nstructs.triple.c %ld\nstructs.after %d\n",
      point.x, point.y, pair.first, pair.second, triple.c, after);
}
KEPT void halves(struct mixed mixed, int between, struct reals reals) {
  LOG("halves.mixed.i %d\nhalves.between %d\n", mixed.i, between);
  (void)reals;
}
KEPT void deep(struct node *node, struct flags *flags) {
  LOG("deep.value %d\ndeep.next.value %d\ndeep.label %s\ndeep.name %s\ndeep.n.i %d\ndeep.in %d\ndeep.out %d\ndeep.grid %d\ndeep.flags %d %d %d %llu %s\n",
      node->value, node->next->value, node->label, node->name, node->n.i, node->in, node->out, node->grid[1][2], flags->a, flags->b, flags->c, (unsigned long long)flags->d, flags->e ? "true" : "false");
}
KEPT int returns_int(int i) { LOG("returns_int %d\n", -i); return -i; }
KEPT short returns_short(int i) { LOG("returns_short %d\n", (short)i); return (short)i; }
KEPT char *returns_text(int i) { LOG("returns_text %s\n", i ? "yes" : "no"); return i ? "yes" : "no"; }
KEPT struct point returns_point(int i) { LOG("returns_point { .x = %d, .y = %d }\n", i, i + 1); return (struct point){i, i + 1}; }
KEPT struct pair returns_pair(int i) { LOG("returns_pair %d %d\n", i * 2, (char)(i + 3)); return (struct pair){i * 2, (char)(i + 3)}; }
KEPT struct triple returns_triple(int i) { LOG("returns_triple { .a = %d, .b = %d, .c = %d }\n", i, i + 1, i + 2); return (struct triple){i, i + 1, i + 2}; }
KEPT enum color returns_color(int i) { LOG("returns_color %s\n", i ? "BLUE" : "RED"); return i ? BLUE : RED; }
KEPT _Bool returns_bool(int i) { LOG("returns_bool %s\n", i > 3 ? "true" : "false"); return i > 3; }

int main(int argc, char **argv) {
  volatile int seed = argc > 1 ? atoi(argv[1]) : 7;
  for (int i = 0; i < 3; i++) {
    int v = seed + i * 1000;
    integers((signed char)-v, (unsigned char)v, (short)-v, (unsigned short)-v, -v, (unsigned)-v);
    longs(-v * 100000L, -(unsigned long)v, v * -7000000000LL, 0xfedcba9876543210ULL + v, INT64_MIN + v, (size_t)v, -v, v, (char)i);
    others(i & 1, i == 0 ? RED : i == 1 ? GREEN : BLUE, i ? "some text" : "", &seed, labs == 0 ? 0 : (callback)(void *)abs);
    structs((struct point){v, -v}, (struct pair){v, (char)i}, (struct triple){1, 2, v}, -i);
    halves((struct mixed){1.5, v}, v + 1, (struct reals){1, 2});
    struct node second = {.value = v + 5}, first = {.value = v, .next = &second, .label = "label", .name = "elevenchars", .n.i = v, .in = (short)i, .out = -3, .grid = {{0}, {0, 0, v}}};
    struct flags flags = {v & 7, 21, -v & 31, 0xabcdef1234ULL + v, i & 1};
    deep(&first, &flags);
    returns_int(v);
    returns_short(v);
    returns_text(i);
    returns_point(v);
    returns_pair(v);
    returns_triple(v);
    returns_color(i);
    returns_bool(i + 2);
  }
}
