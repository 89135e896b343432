/* Variables of a program and of a library (-DLIBRARY), each logged when `look` is called. */
#include <pthread.h>
#include <stdio.h>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define LOG(...) fprintf(stderr, __VA_ARGS__)
#ifdef LIBRARY
struct shelf { int rows; const char *label; } shelf = {4, "books"};
static int visits = 100;
__thread int of_thread = 1000;
KEPT int lib_look(int n) {
  static long calls = 7;
  visits += n; of_thread += n; calls++; shelf.rows += n;
  LOG("library %d %d %ld %d %s\n", visits, of_thread, calls, shelf.rows, shelf.label);
  return 0;
}
#else
int lib_look(int n);
enum state { IDLE, BUSY } state = IDLE;
int counter = 40;
static unsigned char hidden = 9;
int table[4] = {1, 2, 3, 4};
struct point { int x, y; } origin = {3, 4}, *where = &origin;
const char *title = "title";
double ratio = 0.25;
volatile char touched;
__thread long mine = 5;
static __thread struct point corner = {8, 9};
KEPT int look(int n) {
  touched = title[0];
  static int seen;
  seen += n; counter++; hidden++; table[2] = n; origin.x = n; mine += n; corner.y = n; state = n & 1 ? BUSY : IDLE;
  asm volatile("" ::: "memory");
  return n;
}

KEPT void told(int n) {
  (void)n;
  LOG("state %s\ncounter %d\nhidden %d\ntable %d\norigin { .x = %d, .y = %d }\nwhere %d\ntitle %s\nratio %g\n", state == BUSY ? "BUSY" : "IDLE", counter, hidden, table[2], origin.x, origin.y, where->x, title, ratio);
  LOG("mine %ld\ncorner %d\n", mine, corner.y);
  asm volatile("" ::: "memory");
}
KEPT int seen_now(int n) { return look(n); }
static void *run(void *arg) { long n = (long)arg; look(n); told(n); lib_look(n); return 0; }
int main(void) {
  for (long n = 1; n < 4; n++) { pthread_t t; pthread_create(&t, 0, run, (void *)n); pthread_join(t, 0); run((void *)(n + 10)); }
}
#endif
