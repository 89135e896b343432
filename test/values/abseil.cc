// Abseil's types by their content.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <absl/container/node_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <cstdio>
#include <string>
#define KEPT __attribute__((noinline))
#define LOG(...) fprintf(stderr, __VA_ARGS__)
using std::string;

struct Item { int id; string tag; };
struct All {
  absl::flat_hash_map<string, int> words; absl::flat_hash_map<int, Item> items, empty; absl::flat_hash_set<short> set; absl::node_hash_map<long, string> nodes;
  absl::InlinedVector<int, 4> few, many, none; absl::InlinedVector<string, 2> texts; absl::flat_hash_map<unsigned long, unsigned long> large;
  absl::StatusOr<int> number, bad; absl::StatusOr<string> text; absl::Status fine, plain, told; absl::string_view view;
  absl::flat_hash_set<short> single; absl::flat_hash_map<int, int> one; absl::node_hash_map<int, string> node;
};
static string show(int v) { return std::to_string(v); }
static string show(const string &v) { return v; }
static string show(const Item &v) { return "{ .id = " + std::to_string(v.id) + ", .tag = " + v.tag + " }"; }
template <typename K, typename V> string show(const std::pair<K, V> &v) { return "(" + show(v.first) + ", " + show(v.second) + ")"; }
template <typename V> string list(const V &v) {
  string text = "["; size_t count = 0;
  for (auto &one : v) { if (count == 16) { text += ",…" + std::to_string(v.size() - 16) + " more"; break; } text += (count++ ? "," : "") + show(one); }
  return text + "]";
}
template <typename T> string either(const absl::StatusOr<T> &v) {
  return v.ok() ? show(*v) : string(absl::StatusCodeToString(v.status().code())) + (v.status().message().empty() ? "" : "(" + string(v.status().message()) + ")");
}

KEPT size_t look(All &a, absl::string_view text, absl::InlinedVector<int, 4> *pointer, int key) {
  LOG("words %s\nitems %s\nempty %s\nset %s\n", list(a.words).c_str(), list(a.items).c_str(), list(a.empty).c_str(), list(a.set).c_str());
  LOG("few %s\nmany %s\nnone %s\ntexts %s\n", list(a.few).c_str(), list(a.many).c_str(), list(a.none).c_str(), list(a.texts).c_str());
  LOG("number %s\nbad %s\ntext %s\nfine OK\nplain CANCELLED\ntold %s(%s)\n", either(a.number).c_str(), either(a.bad).c_str(), either(a.text).c_str(), absl::StatusCodeToString(a.told.code()).c_str(), string(a.told.message()).c_str());
  LOG("view %.*s\nargument %.*s\n", (int)a.view.size(), a.view.data(), (int)text.size(), text.data());
  LOG("single %s\none %s\nnode %s\n", list(a.single).c_str(), list(a.one).c_str(), list(a.node).c_str());
  for (auto &[k, v] : a.words) LOG("word %s %d\n", k.c_str(), v);
  for (auto &[k, v] : a.items) LOG("item %d %s\n", k, v.tag.c_str());
  for (auto v : a.set) LOG("each %d\n", v);
  for (auto &[k, v] : a.nodes) LOG("node %ld %s\n", k, v.c_str());
  for (auto &v : a.texts) LOG("one %s\n", v.c_str());
  for (auto v : *pointer) LOG("pointed %d\n", v);
  LOG("lengths %zu %zu %zu %zu %zu %zu\n", a.words.size(), a.empty.size(), a.set.size(), a.few.size(), a.many.size(), a.nodes.size());
  LOG("at %d %d %s\nby key %d %s %s\n", a.few[1], a.many[5], a.texts[1].c_str(), a.words["two"], a.items[key].tag.c_str(), a.nodes[key].c_str());
  unsigned long count = 0, sum = 0;
  for (auto &[k, v] : a.large) count++, sum += k * v;
  LOG("large %lu %lu\n", count, sum);
  return a.words.size();
}

int main() {
  for (int i = 0; i < 3; i++) {
    All a{{{"one", 1}, {"two", i}, {"three, which is longer than that", 3}}, {}, {}, {}, {}, {1, i}, {1, 2, 3, 4, 5, 6 + i}, {}, {}, {}, i, absl::NotFoundError("no such thing " + std::to_string(i)), "a text", absl::OkStatus(), absl::Status(absl::StatusCode::kCancelled, ""), absl::DataLossError(i ? "lost, with a message on the heap" : "lost"), "a view", {}, {}, {}};
    for (int n = 0; n < 3 + 20 * i; n++) { a.items[n * 5] = {n, "item " + std::to_string(n)}; a.set.insert(n * 3); a.nodes[n * 5] = "node " + std::to_string(n); }
    for (int n = 0; n < 2 + i; n++) a.texts.push_back("text " + std::to_string(n));
    for (unsigned long n = 0; n < 9000ul * i; n++) a.large[n * 7919] = n;
    for (int n = 0; n < i; n++) { a.single.insert(n + 7); a.one[n] = -n; a.node[n] = "node"; }
    // Few are left in a large table.
    if (i == 2) for (unsigned long n = 0; n < 17990; n++) a.large.erase(n * 7919);
    if (i == 1) a.number = absl::InternalError("broken");
    look(a, i ? "an argument" : "", i ? &a.many : &a.few, 10);
  }
}
