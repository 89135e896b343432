// Values of Go, logged in the form that insitu gives them.
package main

import (
	"fmt"
	"os"
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

func main() {
	for i := 0; i < 4; i++ {
		all := &All{strings.Repeat("n", 1+i*30), []int{1, 2, i}, []string{"x", strings.Repeat("y", i)}, &Point{i, 5}, Point{6, -i}, i%2 == 1, 2.5 + float64(i), []byte("by"), [3]int16{1, -2, int16(i)}, []Point{{1, 2}, {i, 4}}, Kind(i), 1<<63 + uint64(i)}
		Look(all, "an argument", i, []int{4, 5, i}, Point{-1, -i}, int8(-3-i), 1<<62+uint64(i))
	}
}
