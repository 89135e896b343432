// C++: virtual calls, templates, std::function, std::sort, a catch block and a destructor on the way to umask(2).
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#define KEEP __attribute__((noinline))

static volatile int sink;

struct Node {
  virtual ~Node() = default;
  virtual int visit(int depth) = 0;
};

KEEP int call(int n) { return static_cast<int>(umask(022)) + n + sink; }

template <int N>
struct Level : Node {
  KEEP int visit(int depth) override {
    std::string text(static_cast<size_t>(depth + 20), 'x');
    Level<N - 1> next;
    return next.visit(depth + 1) + static_cast<int>(text.size()) + sink;
  }
};
template <>
struct Level<0> : Node {
  KEEP int visit(int depth) override {
    std::function<int(int)> then = [depth](int n) { return call(n + depth); };
    return then(1) + sink;
  }
};

struct Guard {
  KEEP ~Guard() { sink = call(2); }
};

KEEP void thrower(int n) {
  Guard guard;
  if (n == 0) throw std::runtime_error("done");
  thrower(n - 1);
}

int main() {
  Level<90> top;
  sink = top.visit(0);
  std::vector<int> numbers{5, 2, 9, 1};
  bool first = true;
  std::sort(numbers.begin(), numbers.end(), [&](int a, int b) {
    if (first) sink = call(a);
    first = false;
    return a < b;
  });
  try {
    thrower(0);
  } catch (const std::exception &) {
    sink = call(3);
  }
  return 0;
}
