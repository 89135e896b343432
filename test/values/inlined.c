/* A function that is inlined everywhere, and one that is also there by itself. */
#include <stdio.h>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define USE(x) __asm__ volatile("" ::"r"(x) : "memory")
static inline __attribute__((always_inline)) int area(int width, int height) {
  USE(width); USE(height);
  fprintf(stderr, "area %d %d\n", width, height);
  USE(width); USE(height);
  return width * height;
}
KEPT int first(int n) { int total = area(n, 2); return total + area(n + 1, 3); }
KEPT int second(int n) { return n > 1 ? area(n, n) : -area(-n, 1); }
int main(int argc, char **argv) {
  (void)argv;
  for (int i = 0; i < 3; i++) { first(i + argc); second(i + argc); }
}
