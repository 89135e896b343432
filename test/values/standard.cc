// Calls functions of libstdc++ itself, whose types its debug package describes, and logs what they are given.
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
int main() {
  std::ostringstream out;
  const char *texts[] = {"one", "a text of more than fifteen bytes", "", "x"};
  for (int i = 0; i < 4; i++) {
    std::string text = "begin ", number = std::to_string(i);
    fprintf(stderr, "append begin  %d 1\n", i);
    text += number;
    fprintf(stderr, "append begin %d %s %zu\n", i, texts[i], std::char_traits<char>::length(texts[i]));
    text.append(texts[i]);
    fprintf(stderr, "insert %ld\n", i * 5000000000L - 3);
    out << (i * 5000000000L - 3);
    fprintf(stderr, "string %s %zu\n", text.c_str(), text.size());
    out << text;
    fprintf(stderr, "range position %d\n", i % 2 ? 1 : i);
    try { throw std::out_of_range(i % 2 ? "position 1" : i ? "position 2" : "position 0"); } catch (std::out_of_range &) {}
    fprintf(stderr, "find %s %c %d\n", text.c_str(), 'b' + i, i);
    volatile size_t at = text.find('b' + i, i); (void)at;
  }
}
