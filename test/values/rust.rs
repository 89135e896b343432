// Values of Rust, logged in the form that insitu gives them.
use std::rc::Rc;
pub struct Point { x: i32, y: i32 }
pub enum Shape { Empty, Line(u64), Rect { w: u32, h: u32 }, Named(String) }
pub struct All<'a> {
    name: String, numbers: Vec<i32>, words: Vec<String>, some: Option<i32>, none: Option<i32>, boxed: Box<Point>, shape: Shape, text: Option<String>,
    rc: Rc<Point>, slice: &'a [u16], literal: &'static str, tuple: (i32, String), flag: bool, array: [i16; 3], point: Point, wide: u64, byte: i8,
}
fn shape(s: &Shape) -> String {
    match s { Shape::Empty => "Empty".into(), Shape::Line(n) => format!("Line({n})"), Shape::Rect { w, h } => format!("Rect({{ .w = {w}, .h = {h} }})"), Shape::Named(n) => format!("Named({n})") }
}
fn list<T: std::fmt::Display>(l: &[T]) -> String { format!("[{}]", l.iter().map(|x| x.to_string()).collect::<Vec<_>>().join(",")) }
fn option<T: std::fmt::Display>(o: &Option<T>) -> String { match o { Some(v) => format!("Some({v})"), None => "None".into() } }
#[inline(never)]
#[no_mangle]
pub fn look(all: &All, text: &str, n: i32, items: &[i32]) -> i64 {
    eprintln!("name {}\nnumbers {}\nwords {}\nsome {}\nnone {}", all.name, list(&all.numbers), list(&all.words), option(&all.some), option(&all.none));
    eprintln!("boxed {{ .x = {}, .y = {} }}\nshape {}\ntext {}\nrc {{ .x = {}, .y = {} }}", all.boxed.x, all.boxed.y, shape(&all.shape), option(&all.text), all.rc.x, all.rc.y);
    eprintln!("slice {}\nliteral {}\ntuple ({}, {})\nflag {}\narray {}\npoint {{ .x = {}, .y = {} }}", list(all.slice), all.literal, all.tuple.0, all.tuple.1, all.flag, list(&all.array), all.point.x, all.point.y);
    eprintln!("wide {}\nbyte {}\nargument {}\nn {}\nitems {}", all.wide, all.byte, text, n, list(items));
    n as i64 + items.len() as i64
}
#[inline(never)]
#[no_mangle]
pub fn given(point: Point, owned: String, pair: (u8, i64), n: i16) -> i64 {
    eprintln!("given.point {{ .x = {}, .y = {} }}\ngiven.owned {}\ngiven.pair ({}, {})\ngiven.n {}", point.x, point.y, owned, pair.0, pair.1, n);
    std::hint::black_box(&owned);
    pair.1 + point.x as i64
}
fn main() {
    for i in 0..4 {
        let words = vec!["x".to_string(), "y".repeat(i as usize * 20)];
        let all = All {
            name: "n".repeat(1 + i as usize * 30), numbers: (0..i).collect(), words, some: Some(i), none: None, boxed: Box::new(Point { x: i, y: -i }),
            shape: match i { 0 => Shape::Empty, 1 => Shape::Line(99), 2 => Shape::Rect { w: 3, h: 4 }, _ => Shape::Named("inner".into()) },
            text: if i % 2 == 0 { None } else { Some("there".into()) }, rc: Rc::new(Point { x: 7, y: i }), slice: &[10, 20, 30][..i as usize % 4], literal: "literal",
            tuple: (i, "second".into()), flag: i % 2 == 1, array: [1, -2, i as i16], point: Point { x: i, y: i * 2 }, wide: u64::MAX - i as u64, byte: -(i as i8),
        };
        std::hint::black_box(look(&all, "an argument", i, &[4, 5, i]));
        std::hint::black_box(given(Point { x: i, y: -1 }, "owned text".into(), (i as u8, -5_000_000_000), -3));
    }
}
