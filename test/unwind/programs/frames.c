/* Ways to stand deep in calls, each ending in umask(2). argv[1] says which. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

extern int through_library(int depth, int (*then)(int));

volatile int sink;

KEEP int call(int n) {
  sink = n;
  return (int)umask(022) + sink;
}

KEEP int deep(int n) { return n == 0 ? call(n) + 1 : deep(n - 1) * 3 + sink; }

KEEP int with_alloca(int n) {
  char *room = alloca(64 + 48 * n);
  memset(room, n, 64);
  int result = n == 0 ? call(n) : with_alloca(n - 1);
  return result + room[n];
}

/* Arrays that want more alignment than the stack has: DRAP frames. */
KEEP int aligned(int n) {
  __attribute__((aligned(64))) char room[64 + n];
  memset(room, n, sizeof room);
  int result = n == 0 ? call(n) : aligned(n - 1);
  return result + room[n];
}

KEEP int tail_three(int n) { return call(n + 1); }
KEEP int tail_two(int n) { return tail_three(n + 1); }
KEEP int tail_one(int n) { return tail_two(n + 1); }
KEEP int before_tail(int n) { return tail_one(n) + sink; }

/* Large frames, whose sizes take four bytes. */
KEEP int large(int n) {
  volatile char room[70000];
  room[n] = 1;
  int result = n == 0 ? call(n) : large(n - 1);
  return result + room[n];
}

static int in_handler;
static void handler(int signal) { in_handler = deep(5) + signal; }

KEEP int interrupted(int n) {
  if (n > 0) return interrupted(n - 1) + sink;
  raise(SIGUSR1);
  return sink;
}

static int compare(const void *a, const void *b) {
  if (in_handler++ == 3) deep(3);
  return *(const int *)a - *(const int *)b;
}

static void *thread(void *argument) {
  return (void *)(long)deep((int)(long)argument);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "deep")) deep(100);
  else if (!strcmp(what, "deeper")) deep(300);
  else if (!strcmp(what, "alloca")) with_alloca(20);
  else if (!strcmp(what, "aligned")) aligned(10);
  else if (!strcmp(what, "tail")) before_tail(1);
  else if (!strcmp(what, "large")) large(8);
  else if (!strcmp(what, "signal")) {
    signal(SIGUSR1, handler);
    interrupted(4);
  } else if (!strcmp(what, "alternate")) {
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    interrupted(4);
  } else if (!strcmp(what, "library")) through_library(6, call);
  else if (!strcmp(what, "qsort")) {
    int numbers[] = {5, 3, 9, 1, 7, 2, 8};
    qsort(numbers, 7, sizeof numbers[0], compare);
  } else if (!strcmp(what, "thread")) {
    pthread_t id;
    pthread_create(&id, NULL, thread, (void *)10L);
    pthread_join(id, NULL);
  } else if (!strcmp(what, "loop")) {
    for (;;) {
      deep(30);
      usleep(1000);
    }
  } else return 2;
  return 0;
}
