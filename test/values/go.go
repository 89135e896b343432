// Values of Go, logged in the form that insitu gives them.
package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

type Point struct{ X, Y int }
type Kind uint8
type All struct {
	Name    string
	Numbers []int
	Words   []string
	P       *Point
	Inner   Point
	Flag    bool
	F       float64
	B       []byte
	Arr     [3]int16
	Points  []Point
	K       Kind
	U       uint64
}

func list[T any](l []T) string {
	parts := []string{}
	for _, x := range l {
		parts = append(parts, fmt.Sprint(x))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func point(p Point) string { return fmt.Sprintf("{ .X = %d, .Y = %d }", p.X, p.Y) }

//go:noinline
func Look(all *All, text string, n int, items []int, p Point, small int8, wide uint64) int {
	points := []string{}
	for _, p := range all.Points {
		points = append(points, point(p))
	}
	fmt.Fprintf(os.Stderr, "name %s\nnumbers %s\nwords %s\npointer %s\ninner %s\n", all.Name, list(all.Numbers), list(all.Words), point(*all.P), point(all.Inner))
	fmt.Fprintf(os.Stderr, "flag %v\nf %v\nbytes %s\narray %s\npoints [%s]\nkind %d\nu %d\n", all.Flag, all.F, list(all.B), list(all.Arr[:]), strings.Join(points, ","), all.K, all.U)
	fmt.Fprintf(os.Stderr, "text %s\nn %d\nitems %s\np %s\nsmall %d\nwide %d\n", text, n, list(items), point(p), small, wide)
	return n + len(items)
}

type Shape interface{ Area() float64 }
type Square struct{ Side int }

func (s *Square) Area() float64 { return float64(s.Side) }

type Circle int

func (c Circle) Area() float64 { return float64(c) }

type Names map[string]string
type Tables struct {
	Words   map[string]int
	Numbers map[int]Point
	Empty   map[int8]bool
	Nil     map[string]int
	Nested  map[string][]int
	Big     map[[4]int64]string
	Named   Names
	Large   map[uint32]uint64
	Growing map[int]int
	One     map[string]Point
	Shape   Shape
	Other   Shape
	Any     any
	Err     error
	None    error
	Held    any
}

type Wide struct {
	Flag   bool
	Name   string
	Ratio  float32
	At     *Point
	Small  uint8
	Inner  Point
	Signed int16
	List   []int
	Ninth  int
	Tenth  int
}

// What an interface holds: the type, and its value as far as it is a number, a text, an address, or a struct of them.
func held(x any) string {
	v := reflect.ValueOf(x)
	if !v.IsValid() {
		return "none"
	}
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
		v = v.Elem()
	}
	value := plain(v)
	if v.Kind() == reflect.Struct {
		parts := []string{}
		for i := 0; i < v.NumField() && i < 8; i++ {
			part := plain(v.Field(i))
			if part == "" {
				part = "<…>"
			}
			parts = append(parts, fmt.Sprintf(".%s = %s", v.Type().Field(i).Name, part))
		}
		if v.NumField() > 8 {
			parts = append(parts, fmt.Sprintf(".… = <%d more>", v.NumField()-8))
		}
		value = "{ " + strings.Join(parts, ", ") + " }"
	}
	if value == "" {
		return fmt.Sprintf("%T", x)
	}
	return fmt.Sprintf("%T(%s)", x, value)
}

func plain(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return fmt.Sprint(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprint(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Sprint(v.Uint())
	case reflect.Float32, reflect.Float64:
		return fmt.Sprint(v.Float())
	case reflect.String:
		return v.String()
	case reflect.Pointer:
		return fmt.Sprintf("0x%x", v.Pointer())
	}
	return ""
}

//go:noinline
func Maps(t *Tables, m map[string]int, s Shape, a any, key int, call int) int {
	for k, v := range t.Words {
		fmt.Fprintf(os.Stderr, "word %s %d\n", k, v)
	}
	for k, v := range t.Numbers {
		fmt.Fprintf(os.Stderr, "number %d %s\n", k, point(v))
	}
	for k, v := range t.Nested {
		for _, w := range v {
			fmt.Fprintf(os.Stderr, "nested %s %d\n", k, w)
		}
	}
	for k, v := range t.Big {
		fmt.Fprintf(os.Stderr, "big %d %s\n", k[2], v)
	}
	for k, v := range t.Named {
		fmt.Fprintf(os.Stderr, "named %s %s\n", k, v)
	}
	for k, v := range m {
		fmt.Fprintf(os.Stderr, "passed %s %d\n", k, v)
	}
	fmt.Fprintf(os.Stderr, "lengths %d %d %d %d %d %d\n", len(t.Words), len(t.Numbers), len(t.Empty), len(t.Nil), len(t.Named), len(m))
	fmt.Fprintf(os.Stderr, "by key %d %s %d\n", t.Words["three"], point(t.Numbers[key]), t.Growing[key*3])
	for k, v := range t.One {
		fmt.Fprintf(os.Stderr, "one [(%s, %s)]\n", k, point(v))
	}
	fmt.Fprintf(os.Stderr, "empty [] none\nshape %s %s\nany %s\nerr %s none\npassed %s %s\nheld %s\n", held(t.Shape), held(t.Other), held(t.Any), held(t.Err), held(s), held(a), held(t.Held))
	var count, sum, keys uint64
	for k, v := range t.Large {
		count++
		sum += v
		keys += uint64(k)
	}
	fmt.Fprintf(os.Stderr, "large %d %d %d\n", count, sum, keys)
	growing, total := 0, 0
	for k, v := range t.Growing {
		growing++
		total += k*7 + v
	}
	fmt.Fprintf(os.Stderr, "growing %d %d\n", growing, total)
	return len(t.Words)
}

func maps(i int) {
	t := &Tables{Words: map[string]int{"one": 1, "two": i, "three": 3 * i}, Numbers: map[int]Point{}, Empty: map[int8]bool{}, Nested: map[string][]int{"a": {1, i}, "b": {}, "c": {i}}, Big: map[[4]int64]string{{1, 2, int64(i), 4}: "big"}, Named: Names{"k": strings.Repeat("v", i)}, Large: map[uint32]uint64{}, Growing: map[int]int{}, One: map[string]Point{"only": {i, 2}}, Shape: &Square{i}, Other: Circle(i), Any: []any{1, "s", 2.5, Point{1, 2}}[i], Err: fmt.Errorf("error %d", i), Held: []any{Wide{true, "wide", 0.25, &Point{}, 200, Point{1, 2}, -7, []int{1}, 9, 10}, &i, uint64(1<<63), (*Point)(nil)}[i]}
	for n := 0; n < 10*i+4; n++ {
		t.Numbers[n*n] = Point{n, -n}
	}
	for n := 0; n < 9000*i; n++ {
		t.Large[uint32(n*7919)] = uint64(n)
	}
	// One more than a size at which the older maps begin to grow: the call meets them on the way.
	for n := 0; n < 417+100*i; n++ {
		t.Growing[n] = n * 2
	}
	Maps(t, t.Words, t.Other, []any{int8(1), &Point{}, map[string]int{}, []string{}}[i], 9, i)
}

func main() {
	for i := 0; i < 4; i++ {
		maps(i)
	}
	for i := 0; i < 4; i++ {
		all := &All{strings.Repeat("n", 1+i*30), []int{1, 2, i}, []string{"x", strings.Repeat("y", i)}, &Point{i, 5}, Point{6, -i}, i%2 == 1, 2.5 + float64(i), []byte("by"), [3]int16{1, -2, int16(i)}, []Point{{1, 2}, {i, 4}}, Kind(i), 1<<63 + uint64(i)}
		Look(all, "an argument", i, []int{4, 5, i}, Point{-1, -i}, int8(-3-i), 1<<62+uint64(i))
	}
}
