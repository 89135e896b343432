/* A C program without anything that unwinds; its own log as program.cc writes it. plain LOG [CALLS]: calls of tiny(), and with each million one of leaf(). */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FUNCTION __attribute__((noinline, noclone))

static FILE *out;
static jmp_buf back;
volatile int sink;

FUNCTION int leaf(int n) {
  fprintf(out, "{\"event\":\"+\",\"thread\":0,\"name\":\"leaf\",\"arguments\":[%d]}\n", n);
  fprintf(out, "{\"event\":\"-\",\"thread\":0,\"name\":\"leaf\",\"result\":%d}\n", n * 2);
  return n * 2;
}

FUNCTION int tailed(int n) {
  fprintf(out, "{\"event\":\"+\",\"thread\":0,\"name\":\"tailed\",\"arguments\":[%d]}\n", n);
  return leaf(n + 100);
}

FUNCTION int jumper(int n) {
  fprintf(out, "{\"event\":\"+\",\"thread\":0,\"name\":\"jumper\",\"arguments\":[%d]}\n", n);
  if (n == 0) longjmp(back, 1);
  return jumper(n - 1) + sink;
}

FUNCTION int landing(int n) {
  fprintf(out, "{\"event\":\"+\",\"thread\":0,\"name\":\"landing\",\"arguments\":[%d]}\n", n);
  if (setjmp(back) == 0) jumper(n);
  for (int i = 0; i <= n; i++) fprintf(out, "{\"event\":\"!\",\"thread\":0,\"name\":\"jumper\",\"result\":null}\n");
  int result = leaf(n) + 1;
  fprintf(out, "{\"event\":\"-\",\"thread\":0,\"name\":\"landing\",\"result\":%d}\n", result);
  return result;
}

FUNCTION long tiny(long n) {
  __asm__ volatile("" ::"r"(n));
  return n + 1;
}

int main(int argc, char **argv) {
  out = fopen(argv[1], "w");
  if (argc > 2) {
    long calls = atol(argv[2]), sum = 0;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < calls; i++) {
      if (i % 1000000 == 0) leaf(i / 1000000);
      sum = tiny(sum);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
    fprintf(out, "%ld %f\n", sum, seconds);
  } else {
    leaf(1);
    landing(3);
    tailed(5);
    leaf(2);
  }
  fclose(out);
  return 0;
}
