// Values of Rust, logged in the form that insitu gives them.
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
fn keep<T>(value: T) -> T { unsafe { let copy = std::ptr::read_volatile(&value); std::mem::forget(value); copy } }
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
    eprintln!("boxed {{ .x = {}, .y = {} }}\nwithout {{ .x = {}, .y = {} }}\nmember {}\nshape {}\ntext {}\nrc {{ .x = {}, .y = {} }}", all.boxed.x, all.boxed.y, all.boxed.x, all.boxed.y, all.boxed.x, shape(&all.shape), option(&all.text), all.rc.x, all.rc.y);
    eprintln!("slice {}\nliteral {}\ntuple ({}, {})\nflag {}\narray {}\npoint {{ .x = {}, .y = {} }}", list(all.slice), all.literal, all.tuple.0, all.tuple.1, all.flag, list(&all.array), all.point.x, all.point.y);
    eprintln!("wide {}\nbyte {}\nargument {}\nn {}\nitems {}", all.wide, all.byte, text, n, list(items));
    n as i64 + items.len() as i64
}
#[inline(never)]
#[no_mangle]
pub fn given(point: Point, owned: String, pair: (u8, i64), n: i16) -> i64 {
    eprintln!("given.point {{ .x = {}, .y = {} }}\ngiven.owned {}\ngiven.pair ({}, {})\ngiven.n {}", point.x, point.y, owned, pair.0, pair.1, n);
    keep(&owned);
    pair.1 + point.x as i64
}
pub struct Tables {
    words: HashMap<String, u32>, numbers: HashMap<i64, Point>, set: HashSet<u16>, empty: HashMap<u8, u8>, nested: HashMap<u32, Vec<String>>, owned: Box<str>, slice: Box<[i32]>,
    boxed: Option<Box<Point>>, arc: Arc<String>, cell: RefCell<i32>, large: HashMap<u64, u64>, result: Result<i32, String>, chars: (u8, f64),
}
fn point(p: &Point) -> String { format!("{{ .x = {}, .y = {} }}", p.x, p.y) }
#[inline(never)]
#[no_mangle]
pub fn tables(t: &Tables, map: &HashMap<String, u32>, key: i64) -> usize {
    for (k, v) in &t.words { eprintln!("word {} {}", k, v); }
    for (k, v) in &t.numbers { eprintln!("number {} {}", k, point(v)); }
    for v in &t.set { eprintln!("set {}", v); }
    for (k, v) in &t.empty { eprintln!("empty {} {}", k, v); }
    for (k, v) in &t.nested { for w in v { eprintln!("nested {} {}", k, w); } }
    for (k, v) in map { eprintln!("through {} {}", k, v); }
    eprintln!("lengths {} {} {} {} {}", t.words.len(), t.numbers.len(), t.set.len(), t.empty.len(), map.len());
    eprintln!("by key {} {}", t.words["three"], point(&t.numbers[&key]));
    let shown: Vec<_> = t.words.iter().take(16).map(|(k, v)| format!("({k}, {v})")).collect();
    eprintln!("whole [{}]\nnothing []", shown.join(","));
    eprintln!("owned {}\nslice {}\nboxed {}", t.owned, list(&t.slice), t.boxed.as_ref().map_or("None".into(), |p| format!("Some({})", point(p))));
    eprintln!("arc {}\ncell {}\nresult {}\nchars ({}, {})", t.arc, t.cell.borrow(), match &t.result { Ok(v) => format!("Ok({v})"), Err(e) => format!("Err({e})") }, t.chars.0, t.chars.1);
    let (mut count, mut sum) = (0u64, 0u64);
    for (k, v) in &t.large { count += 1; sum = sum.wrapping_add(k.wrapping_mul(*v)); }
    eprintln!("large {} {}", count, sum);
    t.words.len()
}
pub struct Options<'a> {
    reference: Option<&'a Point>, boxed: Option<Box<Point>>, number: Option<&'a i64>, changing: Option<&'a mut i16>, owned: Option<&'a String>, text: Option<&'a str>, twice: Option<Option<&'a Point>>,
    shared: Option<Rc<Point>>, flag: Option<bool>, wide: Option<u64>, behind: Option<&'a Box<Point>>, result: Result<&'a Point, i32>,
}
fn pointed(o: Option<&Point>) -> String { o.map_or("None".into(), |p| format!("Some({})", point(p))) }
#[inline(never)]
#[no_mangle]
pub fn options(o: &Options, reference: Option<&Point>, boxed: Option<Box<Point>>, number: Option<&i64>, text: Option<&str>, small: Option<i32>, flag: Option<bool>) -> usize {
    eprintln!("o.reference {}\no.boxed {}\no.number {}\no.changing {}\no.owned {}\no.text {}", pointed(o.reference), pointed(o.boxed.as_deref()), option(&o.number), option(&o.changing.as_ref()), option(&o.owned), option(&o.text));
    eprintln!("o.twice {}\no.shared {}\no.flag {}\no.wide {}", o.twice.map_or("None".into(), |o| format!("Some({})", pointed(o))), pointed(o.shared.as_deref()), option(&o.flag), option(&o.wide));
    eprintln!("o.behind {}\no.result {}", pointed(o.behind.map(|b| &**b)), match o.result { Ok(p) => format!("Ok({})", point(p)), Err(e) => format!("Err({e})") });
    eprintln!("reference {}\nboxed {}\nnumber {}\ntext {}\nsmall {}\nflag {}", pointed(reference), pointed(boxed.as_deref()), option(&number), option(&text), option(&small), option(&flag));
    keep(&boxed);
    reference.map_or(0, |p| p.x as usize)
}
fn choices(i: i32) {
    let (p, n, mut c, s, b) = (Point { x: 10 * i, y: 2 }, 1i64 << 40 | i as i64, 7i16, "owned".to_string(), Box::new(Point { x: 3, y: i }));
    let there = i % 2 == 1;
    let o = Options {
        reference: there.then_some(&p), boxed: there.then(|| Box::new(Point { x: i, y: 6 })), number: there.then_some(&n), changing: if there { Some(&mut c) } else { None }, owned: there.then_some(&s), text: there.then_some("slice"),
        twice: match i { 0 => None, 1 => Some(None), _ => Some(Some(&p)) }, shared: (!there).then(|| Rc::new(Point { x: 9, y: i })), flag: (i > 0).then_some(there), wide: there.then_some(u64::MAX), behind: there.then_some(&b), result: if there { Ok(&p) } else { Err(i - 5) },
    };
    keep(options(&o, (!there).then_some(&p), (i < 2).then(|| Box::new(Point { x: 8, y: i })), (i > 2).then_some(&n), there.then_some("an argument"), (i > 0).then_some(-i), (i != 2).then_some(there)));
}
fn main() {
    for i in 0..4 { choices(i); }
    for i in 0..4 {
        let words: HashMap<String, u32> = ["one", "two", "three", "four, which is longer"].iter().enumerate().map(|(n, w)| (w.to_string(), n as u32 + i)).collect();
        let t = Tables {
            words, numbers: (0..10 * i as i64 + 2).map(|n| (n * n - 1, Point { x: n as i32, y: -(n as i32) })).collect(), set: (0..i as u16 * 3).collect(), empty: HashMap::new(),
            nested: (0..i).map(|n| (n, vec!["a".repeat(n as usize), "b".into()])).collect(), owned: "owned str".into(), slice: vec![1, 2, i as i32].into(),
            boxed: if i % 2 == 1 { Some(Box::new(Point { x: 8, y: 9 })) } else { None }, arc: Arc::new("shared".into()), cell: RefCell::new(i as i32 * 5), large: (0..i as u64 * 5000).map(|n| (n * 7919, n)).collect(),
            result: if i == 0 { Err("failed".into()) } else { Ok(i as i32) }, chars: (65, 1.5),
        };
        keep(tables(&t, &t.words, -1));
    }
    for i in 0..4 {
        let words = vec!["x".to_string(), "y".repeat(i as usize * 20)];
        let all = All {
            name: "n".repeat(1 + i as usize * 30), numbers: (0..i).collect(), words, some: Some(i), none: None, boxed: Box::new(Point { x: i, y: -i }),
            shape: match i { 0 => Shape::Empty, 1 => Shape::Line(99), 2 => Shape::Rect { w: 3, h: 4 }, _ => Shape::Named("inner".into()) },
            text: if i % 2 == 0 { None } else { Some("there".into()) }, rc: Rc::new(Point { x: 7, y: i }), slice: &[10, 20, 30][..i as usize % 4], literal: "literal",
            tuple: (i, "second".into()), flag: i % 2 == 1, array: [1, -2, i as i16], point: Point { x: i, y: i * 2 }, wide: u64::MAX - i as u64, byte: -(i as i8),
        };
        keep(look(&all, "an argument", i, &[4, 5, i]));
        keep(given(Point { x: i, y: -1 }, "owned text".into(), (i as u8, -5_000_000_000), -3));
    }
}
