/* A function that calls itself, in several threads at once; it logs what it was given when it returns. */
#include <pthread.h>
#include <stdio.h>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
struct big { long a, b, c; };
KEPT int factorial(int n, const char *why, struct big big) {
  int result = n <= 1 ? 1 : n * factorial(n - 1, "inner", (struct big){n, n, n});
  fprintf(stderr, "factorial %d %s %ld = %d\n", n, why, big.c, result);
  return result;
}
static void *run(void *why) {
  for (int i = 0; i < 50; i++) factorial(8, why, (struct big){1, 2, i});
  return 0;
}
int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, run, i & 1 ? "odd" : "even");
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
}
