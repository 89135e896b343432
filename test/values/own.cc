// Containers of a program's own, which a user's printers describe.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#define KEPT __attribute__((noinline))
struct Text { const char *start; unsigned bytes; };
template <typename T> struct Row { T *begin_, *end_; };
struct Link { Link *after; Text text; };
struct Chain { Link *head; unsigned count; };
KEPT void look(Row<int> *row, Chain *chain, Text &text) {
  fprintf(stderr, "text %.*s\nrow [", (int)text.bytes, text.start);
  for (int *p = row->begin_; p != row->end_; p++) fprintf(stderr, "%s%d", p == row->begin_ ? "" : ",", *p);
  fprintf(stderr, "]\nlength %ld %u\n", row->end_ - row->begin_, chain->count);
  for (Link *l = chain->head; l; l = l->after) fprintf(stderr, "each %.*s\n", (int)l->text.bytes, l->text.start);
  fprintf(stderr, "second %.*s\n", (int)chain->head->after->text.bytes, chain->head->after->text.start);
  asm volatile("" ::"r"(row), "r"(chain), "r"(&text) : "memory");
}
int main() {
  for (int i = 1; i < 4; i++) {
    Row<int> row{(int *)malloc(4 * i), nullptr};
    row.end_ = row.begin_ + i;
    for (int n = 0; n < i; n++) row.begin_[n] = n * i - 1;
    Link last{nullptr, {"the last one", (unsigned)(3 + i)}}, middle{&last, {"middle", 6}}, first{&middle, {"first", 5}};
    Chain chain{&first, 3};
    Text text{"a text that goes on", (unsigned)(6 * i)};
    look(&row, &chain, text);
  }
}
