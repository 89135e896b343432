/* Locals in scope at lines marked LINE_…; each line logs what they hold. */
#include <stdio.h>
#include <stdlib.h>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define USE(x) __asm__ volatile("" ::"g"(x) : "memory")
struct point { int x, y; };
static inline __attribute__((always_inline)) int square(int side) {
  int area = side * side;
  USE(area); USE(side); /* LINE_square */
  return area;
}
KEPT int work(int n, const char *text) {
  int total = 0;
  struct point point = {n, -n};
  USE(&point);
  for (int i = 0; i < 2; i++) {
    long step = n * 10L + i;
    total += step;
    USE(total); USE(step); USE(i); /* LINE_loop */
    fprintf(stderr, "loop %d %d %ld %d %s %s %d\n", n, i, step, total, text, "point", point.y);
  }
  {
    int total = 77;
    USE(total); /* LINE_inner */
    fprintf(stderr, "inner %d %d\n", total, n);
  }
  int area = square(n + 1);
  USE(area); /* LINE_after */
  fprintf(stderr, "square %d %d\nafter %d %d\n", n + 1, (n + 1) * (n + 1), area, n);
  USE(text);
  return total + area;
}
int main(int argc, char **argv) {
  volatile int seed = argc > 1 ? atoi(argv[1]) : 3;
  for (int k = 0; k < 3; k++) work(seed + k, k ? "some" : "none");
}
