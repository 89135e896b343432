/* A C program that loads a C++ library while it runs. late LIBRARY FILE: waits for FILE, then lets an exception pass guarded(). */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static void (*throws)(void);

__attribute__((noinline, noclone)) int guarded(int n) {
  throws();
  return n + 1;
}

__attribute__((noinline, noclone)) int plain(int n) {
  int result = printf("plain %d\n", n);
  return result + n;
}

int main(int argc, char **argv) {
  plain(1);
  void *library = dlopen(argv[1], RTLD_NOW);
  if (argc < 3 || library == NULL) return 1;
  throws = (void (*)(void))dlsym(library, "throws");
  int (*catches)(int (*)(int), int) = (int (*)(int (*)(int), int))dlsym(library, "catches");
  while (access(argv[2], F_OK) != 0) usleep(10000);
  plain(2);
  printf("caught %d\n", catches(guarded, 5));
  plain(3);
  return 0;
}
