// Containers of the C++ library as a script goes through them: each element, by number, by key; and what std::function holds.
#include <array>
#include <cstdio>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define LOG(...) fprintf(stderr, __VA_ARGS__)
using std::string;

struct Item { int id; string tag; double weight; };
enum class Level : char { low = 1, high = 9 };
struct Box {
  std::map<int, string> table; std::map<string, int> names; std::set<short> set; std::multimap<Level, long> levels;
  std::unordered_map<string, long> hash; std::unordered_map<unsigned, Item> items; std::unordered_set<int> bag;
  std::list<string> list; std::list<Item> linked; std::forward_list<int> forward; std::deque<int> deque; std::deque<Item> queue;
  std::vector<bool> bits, none; std::vector<Item> vector; std::array<Item, 2> array; int plain[3]; std::map<int, std::vector<string>> nested;
  std::function<int(int)> lambda, function, empty; std::function<long(long, long)> bound; std::map<long, long> large; Item *pointers[2];
};
static int twice(int i) { return 2 * i; }
struct Adder { long by; long operator()(long a, long b) const { return a + b + by; } };

#if defined(__clang__)
#define LAMBDA "make(int)::$_0"
#else
#define LAMBDA "make(int)::{lambda(int)#1}"
#endif

KEPT long look(Box &b, std::map<int, string> *pointer, int key) {
  for (auto &[k, v] : b.table) LOG("table %d %s\n", k, v.c_str());
  for (auto &[k, v] : b.names) LOG("names %s %d\n", k.c_str(), v);
  for (auto v : b.set) LOG("set %d\n", v);
  for (auto &[k, v] : b.levels) LOG("levels Level::%s %ld\n", k == Level::low ? "low" : "high", v);
  for (auto &[k, v] : b.hash) LOG("hash %s %ld\n", k.c_str(), v);
  for (auto &[k, v] : b.items) LOG("items %u %d %s %g\n", k, v.id, v.tag.c_str(), v.weight);
  for (auto v : b.bag) LOG("bag %d\n", v);
  for (auto &v : b.list) LOG("list %s\n", v.c_str());
  for (auto &v : b.linked) LOG("linked { .id = %d, .tag = %s, .weight = %g }\n", v.id, v.tag.c_str(), v.weight);
  for (auto v : b.forward) LOG("forward %d\n", v);
  for (auto v : b.deque) LOG("deque %d\n", v);
  for (auto &v : b.queue) LOG("queue %d %s\n", v.id, v.tag.c_str());
  for (bool v : b.bits) LOG("bit %d\n", v);
  for (auto &v : b.vector) LOG("vector %d %s\n", v.id, v.tag.c_str());
  for (auto &v : b.array) LOG("array %s\n", v.tag.c_str());
  for (int v : b.plain) LOG("plain %d\n", v);
  for (auto *v : b.pointers) LOG("pointer %d %s\n", v->id, v->tag.c_str());
  for (auto &[k, v] : b.nested) for (auto &w : v) LOG("nested %d %s\n", k, w.c_str());
  for (auto &[k, v] : *pointer) LOG("through %d %s\n", k, v.c_str());
  LOG("lengths %zu %zu %zu %zu %zu %d %zu %zu %zu\n", b.table.size(), b.set.size(), b.hash.size(), b.list.size(), b.bits.size(), (int)std::distance(b.forward.begin(), b.forward.end()), b.queue.size(), pointer->size(), b.large.size());
  LOG("at %d %s %d %d %s %d %d\n", b.deque[key], std::next(b.list.begin(), 2)->c_str(), b.queue[3].id, (int)b.bits[key], b.array[1].tag.c_str(), b.vector[2].id, *std::next(b.forward.begin(), 1));
  LOG("by key %s %d %ld %s %ld\n", b.table[key].c_str(), b.names["the third, which has a long name"], b.hash["one"], b.items[7u].tag.c_str(), b.large[key * 50]);
  string bits = "[", more;
  for (size_t i = 0; i < b.bits.size() && i < 16; i++) bits += string(i ? "," : "") + (b.bits[i] ? "true" : "false");
  if (b.bits.size() > 16) more = ",…" + std::to_string(b.bits.size() - 16) + " more";
  LOG("bits %s%s] []\n", bits.c_str(), more.c_str());
  LOG("lambda " LAMBDA "\nfunction twice(int)\nempty none\nbound Adder\n");
  long sum = 0, count = 0;
  for (auto &[k, v] : b.large) sum += k * v, count++;
  LOG("large %ld %ld\n", count, sum);
  long evens = 0;
  for (auto &[k, v] : b.large) { if (k % 2) continue; if (k > 1000) break; evens += v; }
  LOG("evens %ld\n", evens);
  return b.lambda(1) + b.function(2) + b.bound(1, 2);
}

KEPT Box *make(int i) {
  Box *b = new Box{};
  const char *words[] = {"one", "two", "the third, which has a long name", "four", ""};
  for (int n = 0; n < 5; n++) {
    b->table[n * 3 % 5 + i] = words[n]; b->names[words[n]] = n * 11; b->set.insert(short(n * 7 % 5 - 2)); b->levels.insert({n % 2 ? Level::high : Level::low, n * 3000000000L});
    b->hash[words[n]] = n - 1; b->items[n * 7] = {n, words[n], n / 4.0}; b->bag.insert(n * n); b->list.push_back(words[n]); b->linked.push_back({n, words[4 - n], n * 1.5});
    b->forward.push_front(n * i); b->queue.push_front({n, words[n], 0}); b->vector.push_back({n * i, words[n], 1}); b->nested[n % 2].push_back(words[n]);
  }
  for (int n = 0; n < 300; n++) { b->deque.push_back(n * i); if (n < 150) b->deque.push_front(-n); }
  for (int n = 0; n < 13 + 60 * i; n++) b->bits.push_back(n % 3 == i);
  for (int n = 0; n < 2; n++) { b->array[n] = {n, words[2 + n], 0}; b->pointers[n] = &b->vector[n]; }
  for (int n = 0; n < 3; n++) b->plain[n] = n * i;
  for (long n = 0; n < 20000L * i; n++) b->large[n * 7919 % 20011] = n;
  b->lambda = [i](int v) { return v + i; }; b->function = twice; b->bound = Adder{i + 5L};
  return b;
}

int main() {
  for (int i = 0; i < 3; i++) {
    Box *b = make(i);
    b->table[3]; b->large[150];
    look(*b, i ? &b->table : new std::map<int, string>{}, 3);
  }
}
