// Calls of every kind, with a log of its own: a line of JSON for each begin (+) and end (-) of a call,
// in the order in which they happen on a thread; what an exception went through ends with !.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#define FUNCTION __attribute__((noinline, noclone))

static FILE *out;
static thread_local std::string pending;

static void write_out() {
  fputs(pending.c_str(), out);
  pending.clear();
}

template <class... Values> static void note(const char *format, Values... values) {
  char line[512];
  snprintf(line, sizeof line, format, values...);
  pending += line;
}

// Logs the begin, and the end with the result that has been put into `result`.
struct Log {
  const char *name;
  int before = std::uncaught_exceptions();
  std::string result = "null";
  Log(const char *name, const std::string &arguments) : name(name) {
    note("{\"event\":\"+\",\"thread\":%ld,\"name\":\"%s\",\"arguments\":[%s]}\n", syscall(SYS_gettid), name,
         arguments.c_str());
  }
  ~Log() {
    bool unwound = std::uncaught_exceptions() > before;
    note("{\"event\":\"%s\",\"thread\":%ld,\"name\":\"%s\",\"result\":%s}\n", unwound ? "!" : "-", syscall(SYS_gettid),
         name, unwound ? "null" : result.c_str());
  }
  template <class Value> Value gives(Value value) {
    result = text(value);
    return value;
  }
  static std::string text(const char *value) { return std::string("\"") + value + "\""; }
  static std::string text(bool value) { return value ? "true" : "false"; }
  template <class Value> static std::string text(Value value) { return std::to_string(value); }
};

enum class Colour { red, green = 5, blue };

namespace cases {

FUNCTION int leaf(int n) {
  Log log("cases::leaf", std::to_string(n));
  return log.gives(n * 2);
}

FUNCTION long factorial(long n) {
  Log log("cases::factorial", std::to_string(n));
  return log.gives(n <= 1 ? 1L : n * factorial(n - 1));
}

FUNCTION const char *greet(const char *who, bool loud, Colour colour) {
  Log log("cases::greet", Log::text(who) + "," + Log::text(loud) + (colour == Colour::green ? ",\"Colour::green\"" : ",\"Colour::red\""));
  return log.gives(loud ? "HELLO" : "hello");
}

FUNCTION bool same(std::string_view left, const std::string &right, std::string copy) {
  Log log("cases::same", Log::text(std::string(left).c_str()) + "," + Log::text(right.c_str()));
  return log.gives(left == right && copy.size() > 0);
}

FUNCTION unsigned char wide(signed char a, unsigned short b, int c, unsigned d, long e, unsigned long f, int g, long h) {
  Log log("cases::wide", std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(c) + "," +
                             std::to_string(d) + "," + std::to_string(e) + "," + std::to_string(f) + "," +
                             std::to_string(g) + "," + std::to_string(h));
  return log.gives((unsigned char)(a + 200));
}

struct Shape {
  int sides;
  FUNCTION virtual int area(int scale) {
    Log log("cases::Shape::area", std::to_string(scale));
    return log.gives(leaf(scale) + sides);
  }
  virtual ~Shape() {}
};

FUNCTION int thrower(int n) {
  Log log("cases::thrower", std::to_string(n));
  if (n > 0) throw std::runtime_error("thrown");
  return log.gives(n);
}

FUNCTION int middle(int n) {
  Log log("cases::middle", std::to_string(n));
  return log.gives(thrower(n) + 1);
}

FUNCTION int catcher(int n) {
  Log log("cases::catcher", std::to_string(n));
  try {
    return log.gives(middle(n));
  } catch (const std::exception &) {
    return log.gives(leaf(-1));
  }
}

// No destructors here: longjmp() would pass them by. Begins and ends are logged by hand.
static thread_local jmp_buf back;

FUNCTION void jumper(int n) {
  note("{\"event\":\"+\",\"thread\":%ld,\"name\":\"cases::jumper\",\"arguments\":[%d]}\n", syscall(SYS_gettid), n);
  if (n > 0) jumper(n - 1);
  note("{\"event\":\"!\",\"thread\":%ld,\"name\":\"cases::jumper\",\"result\":null}\n", syscall(SYS_gettid));
  longjmp(back, 1);
}

FUNCTION int landing(int n) {
  note("{\"event\":\"+\",\"thread\":%ld,\"name\":\"cases::landing\",\"arguments\":[%d]}\n", syscall(SYS_gettid), n);
  if (setjmp(back) == 0) jumper(n);
  // The frames above that of the longjmp() have gone with it.
  for (int i = 0; i < n; i++)
    note("{\"event\":\"!\",\"thread\":%ld,\"name\":\"cases::jumper\",\"result\":null}\n", syscall(SYS_gettid));
  int result = leaf(n) + 1;
  note("{\"event\":\"-\",\"thread\":%ld,\"name\":\"cases::landing\",\"result\":%d}\n", syscall(SYS_gettid), result);
  return result;
}

FUNCTION void work(int number) {
  {
    Log log("cases::work", std::to_string(number));
    for (int i = 0; i < 3; i++) leaf(100 * number + i);
    factorial(number);
    catcher(number & 1);
  }
  write_out();
}

} // namespace cases

int main(int, char **argv) {
  out = fopen(argv[1], "w");
  setvbuf(out, nullptr, _IOFBF, 1 << 20);
  cases::leaf(21);
  cases::factorial(5);
  cases::greet("world", true, Colour::green);
  cases::greet("", false, Colour::red);
  cases::same("a view", "a view", "copy");
  cases::same("left", std::string(40, 'r'), "copy");
  cases::wide(-3, 65535, -70000, 4000000000u, -5000000000, 18000000000000000000ul, -7, -8);
  cases::Shape shape;
  shape.sides = 4;
  cases::Shape *volatile pointer = &shape;
  pointer->area(3);
  cases::catcher(0);
  cases::catcher(1);
  cases::landing(3);
  write_out();
  std::vector<std::thread> threads;
  for (int i = 1; i <= 4; i++) threads.emplace_back(cases::work, i);
  for (auto &thread : threads) thread.join();
  fclose(out);
}
