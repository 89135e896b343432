// C++: namespaces, inheritance, virtual bases, templates, references, overloads, member pointers; each logs its own values.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif
#define LOG(...) fprintf(stderr, __VA_ARGS__)

namespace geo {
enum class Color : unsigned char { Red = 1, Green, Blue = 200 };
enum Plain { small, LARGE = 1 << 20 };
struct Point { int x, y; };
struct Named { virtual ~Named() {} virtual int weight() const { return 1; } const char *name = "named"; int tag = 0; };
struct Counted { virtual ~Counted() {} virtual int turns() const { return 3; } long count = 0; };
class Shape : public Named, public Counted {
public:
  explicit Shape(int id);
  int weight() const override { return 2; }
  KEPT long scale(int factor, const Point &by);
  KEPT long scale(long factor);
  static int made;
  int id;
protected:
  Color color = Color::Green;
  unsigned level : 3, mode : 5;
  Plain plain = LARGE;
  double ratio = 2.5;
};
int Shape::made = 0;
KEPT Shape::Shape(int id) : id(id), level(5), mode(17) { made++; tag = id + 1; count = id + 2; LOG("Shape::Shape.id %d\n", id); }
KEPT long Shape::scale(int factor, const Point &by) {
  LOG("scale.factor %d\nscale.by %d %d\nscale.this %d %d %ld %d %d\nscale.color %s\nscale.plain %s\nscale.name %s\nscale.whole { .x = %d, .y = %d }\n", factor, by.x, by.y, id, tag, count, level, mode,
      color == Color::Green ? "Color::Green" : "Color::Blue", plain == LARGE ? "LARGE" : "small", name, by.x, by.y);
  return factor * id;
}
KEPT long Shape::scale(long factor) { LOG("scale.long %ld %d\n", factor, id); return factor + id; }

struct Top { int top = 1; virtual ~Top() {} };
struct Left : virtual Top { int left = 2; };
struct Right : virtual Top { int right = 3; };
struct Bottom : Left, Right { int bottom = 4; };
KEPT void diamond(Left *left, Bottom &bottom) {
  LOG("diamond %d %d %d %d %d %d\n", left->top, left->left, bottom.top, bottom.left, bottom.right, bottom.bottom);
  LOG("diamond.cast %d\n", static_cast<Bottom *>(&bottom)->right);
}
KEPT void sideways(Counted *counted) { LOG("sideways %d %ld\n", static_cast<Shape *>(counted)->id, counted->count); }

template <typename T> struct Poly : Shape { Poly(int id) : Shape(id) {} T extra{}; };
KEPT void named(Shape *shape, Counted *counted) { LOG("named %s %s %s\n", counted->count % 2 ? "geo::Shape" : "geo::Poly<long>", counted->count % 2 ? "geo::Shape" : "geo::Poly<long>", counted->count % 2 ? "yes" : "no"); (void)shape; asm volatile("" ::"r"(shape)); }

template <typename T, int N> struct Box { T items[N]; int used; KEPT void put(T item) { LOG("put.item %ld\nput.used %d\nput.last %ld\n", (long)item, used, (long)items[N - 1]); items[used++ % N] = item; } };
} // namespace geo

namespace { struct Hidden { int secret; }; KEPT void hidden(Hidden *h) { LOG("hidden %d\n", h->secret); } }

KEPT void references(int &number, const long &constant, char *&text, int &&moved) {
  LOG("references %d %ld %s %d\n", number, constant, text, moved);
}
struct Handler { int (*call)(int); int Handler::*member; int a, b; };
extern "C" KEPT int twice(int i) { return 2 * i; }
KEPT void handlers(Handler *h, int (*call)(int)) { LOG("handlers %d %d\nhandlers.call twice\nhandlers.inner twice\n", h->a, h->b); asm volatile("" ::"r"(call)); }
struct Members {
  int Handler::*data; int Handler::*none; const char *geo::Shape::*inherited;
  int (geo::Shape::*weight)() const; int (geo::Shape::*moved)() const; long (geo::Shape::*plain)(long); long (geo::Shape::*null)(long);
};
KEPT void members(Members *m, Handler *h, int Handler::*passed, long (geo::Shape::*method)(long)) {
  LOG("members.data &Handler::%s\nmembers.none nullptr\nmembers.inherited &geo::Shape::name\nmembers.weight &virtual geo::Shape::weight\n", &(h->*(m->data)) == &h->a ? "a" : "b");
  LOG("members.moved &virtual geo::Counted::turns\nmembers.plain geo::Shape::scale(long)\nmembers.null nullptr\nmembers.passed &Handler::b\nmembers.method geo::Shape::scale(long)\n");
  LOG("members.number %d\n", (int)((char *)&(h->*(m->data)) - (char *)h));
  asm volatile("" ::"r"(m), "r"(h), "r"(passed), "m"(method));
}
// Compilers would leave out arguments that are always the same.
int Handler::*volatile chosen = &Handler::b;
long (geo::Shape::*volatile method)(long) = &geo::Shape::scale;
struct Owner { ~Owner() {} int value; Owner(int v) : value(v) {} Owner(const Owner &o) : value(o.value) {} };
KEPT int by_value(Owner owner, geo::Point point) { LOG("by_value %d %d %d\n", owner.value, point.x, point.y); return 0; }
KEPT Owner make_owner(int v) { LOG("make_owner { .value = %d }\n", v); return Owner(v); }
KEPT geo::Color paint(int v) { geo::Color c = v & 1 ? geo::Color::Blue : geo::Color::Red; LOG("paint %s\n", v & 1 ? "Color::Blue" : "Color::Red"); return c; }
KEPT geo::Point &pick(geo::Point *points, int n) { LOG("pick { .x = %d, .y = %d }\n", points[n].x, points[n].y); return points[n]; }

int main(int argc, char **argv) {
  volatile int seed = argc > 1 ? atoi(argv[1]) : 7;
  for (int i = 0; i < 3; i++) {
    int v = seed + 10 * i;
    geo::Shape shape(v);
    geo::Point points[3] = {{v, 1}, {2, v}, {-v, -1}};
    shape.scale(v, points[i]);
    shape.scale(v * 1000000L);
    geo::Bottom bottom; bottom.top = v; bottom.left = v + 1; bottom.right = v + 2; bottom.bottom = v + 3;
    geo::diamond(&bottom, bottom);
    geo::sideways(&shape);
    geo::Shape odd(2 * v + 1 - 2); odd.count = 1; geo::named(&odd, &odd);
    geo::Poly<long> poly(v); poly.count = 2; geo::named(&poly, &poly);
    geo::Box<int, 4> ints = {{1, 2, 3, v}, i}; ints.put(v);
    geo::Box<unsigned char, 2> bytes = {{9, (unsigned char)v}, i}; bytes.put(v);
    Hidden h{v}; hidden(&h);
    int number = v; long constant = v * 3L; char *text = i ? (char *)"yes" : (char *)"no";
    references(number, constant, text, v + 1);
    Handler handler{twice, &Handler::b, v, i}; handlers(&handler, twice);
    Members m{i ? &Handler::b : &Handler::a, nullptr, &geo::Shape::name, &geo::Shape::weight, &geo::Shape::turns, &geo::Shape::scale, nullptr};
    members(&m, &handler, chosen, method);
    by_value(Owner(v), points[1]);
    make_owner(v); paint(i); pick(points, i);
  }
}
