/* The other side of a procedure linkage table. */
#define KEEP __attribute__((noinline, noclone))
static volatile int sink;
KEEP int step(int depth, int (*then)(int)) {
  return depth == 0 ? then(depth) + sink : step(depth - 1, then) + 1;
}
int through_library(int depth, int (*then)(int)) { return step(depth, then) * 2 + sink; }
