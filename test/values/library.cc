// Types of the C++ library by their content. `show` writes a value as insitu does: what it holds, not what it is made of.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
using std::string;

struct Inner { int id; string tag; };
struct Outer {
  string name; std::vector<int> numbers; std::vector<string> words; std::map<int, string> table; std::set<string> set;
  std::optional<int> some, none; std::variant<int, string> number, text; std::pair<int, string> pair; std::tuple<int, string, long> tuple;
  std::unique_ptr<Inner> unique, null; std::shared_ptr<Inner> shared; std::vector<Inner> inners; std::deque<short> deque; std::list<long> list;
  std::forward_list<int> forward; std::unordered_map<string, int> hash; std::unordered_set<int> bag; std::array<short, 3> array;
  std::chrono::milliseconds time; std::atomic<int> atomic; std::map<string, std::vector<int>> nested; std::string_view view; std::vector<std::optional<string>> options;
};

string show(int v) { return std::to_string(v); }
string show(short v) { return std::to_string(v); }
string show(long v) { return std::to_string(v); }
string show(const string &v) { return v; }
string show(std::string_view v) { return string(v); }
string show(const Inner &v) { return "{ .id = " + show(v.id) + ", .tag = " + show(v.tag) + " }"; }
template <typename A, typename B> string show(const std::pair<A, B> &v);
template <typename T> string show(const std::optional<T> &v) { return v ? show(*v) : "none"; }
template <typename... T> string show(const std::variant<T...> &v) { return std::visit([](auto &x) { return show(x); }, v); }
template <typename T> string show(const std::unique_ptr<T> &v) { return v ? show(*v) : "none"; }
template <typename T> string show(const std::shared_ptr<T> &v) { return v ? show(*v) : "none"; }
template <typename C> auto show(const C &v) -> decltype(v.begin(), string()) {
  string text = "["; int count = 0; size_t size = std::distance(v.begin(), v.end());
  for (auto &one : v) { if (count == 16) { text += ",…" + std::to_string(size - 16) + " more"; break; } text += (count++ ? "," : "") + show(one); }
  return text + "]";
}
template <typename A, typename B> string show(const std::pair<A, B> &v) { return "(" + show(v.first) + ", " + show(v.second) + ")"; }

#define TELL(name, value) fprintf(stderr, "%s %s\n", name, show(value).c_str())

KEPT void look(Outer &o, const string &text, std::vector<Inner> items, std::string_view view) {
  TELL("name", o.name); TELL("numbers", o.numbers); TELL("words", o.words); TELL("table", o.table); TELL("set", o.set);
  TELL("some", o.some); TELL("none", o.none); TELL("number", o.number); TELL("text", o.text); TELL("pair", o.pair);
  fprintf(stderr, "tuple (%d, %s, %ld)\n", std::get<0>(o.tuple), std::get<1>(o.tuple).c_str(), std::get<2>(o.tuple));
  TELL("unique", o.unique); TELL("null", o.null); TELL("shared", o.shared); TELL("inners", o.inners); TELL("deque", o.deque);
  TELL("list", o.list); TELL("forward", o.forward); TELL("hash", o.hash); TELL("bag", o.bag); TELL("array", o.array);
  fprintf(stderr, "time %ld\natomic %d\n", (long)o.time.count(), o.atomic.load());
  TELL("nested", o.nested); TELL("view", o.view); TELL("options", o.options);
  TELL("argument", text); TELL("items", items); TELL("viewed", view);
  fprintf(stderr, "lengths %zu %zu %zu %zu\n", o.numbers.size(), text.size(), o.table.size(), o.deque.size());
  fprintf(stderr, "second %d %s\n", o.numbers[1], o.words[1].c_str());
  fprintf(stderr, "through %d %s %s\n", o.unique->id, o.unique->tag.c_str(), o.shared->tag.c_str());
  fprintf(stderr, "copy %d %s\nowned %s\n", o.unique->id, o.unique->tag.c_str(), show(*o.unique).c_str());
  for (int n : o.numbers) fprintf(stderr, "each %d\n", n);
  for (auto &w : o.words) fprintf(stderr, "word %s\n", w.c_str());
  fprintf(stderr, "is %s\n", o.name == "short" ? "short" : "long");
}

int main() {
  for (int i = 0; i < 3; i++) {
    Outer o;
    o.name = i ? string(20 + 100 * i, 'a' + i) : "short";
    for (int n = 0; n < 3 + 20 * i; n++) { o.numbers.push_back(n * i - 1); o.deque.push_back(n); o.list.push_back(-n * 1000000000L); o.table[n * 7 % 50] = "value " + std::to_string(n); }
    for (int n = 0; n < 300 * i; n++) { o.deque.push_front(-n); }
    o.words = {"one", "two, which is longer than fifteen bytes", ""};
    o.set = {"x", "y", string(30, 'z')};
    o.some = i; o.number = i; o.text = "alternative"; o.pair = {i, "pair"}; o.tuple = {i, "tuple", i * 5000000000L};
    o.unique = std::make_unique<Inner>(Inner{i, "unique"}); o.shared = std::make_shared<Inner>(Inner{-i, "shared with a long tag"});
    o.inners = {{1, "first"}, {2, "second, long enough for the heap"}};
    o.forward = {3, 2, i}; o.hash = {{"key", i}}; o.bag = {i}; o.array = {1, short(i), 3};
    o.time = std::chrono::milliseconds(1500 * i); o.atomic = i + 4; o.nested = {{"a", {1, 2}}, {"b", {}}, {"c", {i}}}; o.view = "a view";
    o.options = {string("there"), std::nullopt};
    look(o, i ? "an argument that is not short at all" : "argument", {{i, "item"}}, "seen");
  }
}
