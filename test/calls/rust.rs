// Calls with a log of its own, in the form of program.cc's: panics that are caught, recursion, texts, threads.
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic;

thread_local!(static PENDING: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) });

fn thread() -> i64 {
    extern "C" {
        fn syscall(number: i64) -> i64;
    }
    unsafe { syscall(186) }
}

struct Log {
    name: &'static str,
    result: String,
}

impl Log {
    fn new(name: &'static str, arguments: String) -> Log {
        PENDING.with(|log| {
            writeln!(log.borrow_mut(), "{{\"event\":\"+\",\"thread\":{},\"name\":\"{name}\",\"arguments\":[{arguments}]}}", thread()).unwrap()
        });
        Log { name, result: "null".into() }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let event = if std::thread::panicking() { "!" } else { "-" };
        PENDING.with(|log| {
            writeln!(log.borrow_mut(), "{{\"event\":\"{event}\",\"thread\":{},\"name\":\"{}\",\"result\":{}}}", thread(), self.name, self.result).unwrap()
        });
    }
}

#[inline(never)]
fn double(n: i32) -> i32 {
    let mut log = Log::new("rust::double", n.to_string());
    log.result = (n * 2).to_string();
    n * 2
}

#[inline(never)]
fn factorial(n: u64) -> u64 {
    let mut log = Log::new("rust::factorial", n.to_string());
    let result = if n <= 1 { 1 } else { n * factorial(n - 1) };
    log.result = result.to_string();
    result
}

#[inline(never)]
fn length(text: &str, twice: bool) -> usize {
    let mut log = Log::new("rust::length", format!("\"{text}\",{twice}"));
    let result = text.len() * if twice { 2 } else { 1 };
    log.result = result.to_string();
    result
}

#[inline(never)]
fn panics(n: i32) -> i32 {
    let mut log = Log::new("rust::panics", n.to_string());
    if n > 0 {
        panic!("as asked");
    }
    log.result = n.to_string();
    n
}

#[inline(never)]
fn guarded(n: i32) -> bool {
    let mut log = Log::new("rust::guarded", n.to_string());
    let result = panic::catch_unwind(|| panics(n)).is_ok();
    double(n);
    log.result = result.to_string();
    result
}

fn flush(path: &str) {
    let text = PENDING.with(|log| std::mem::take(&mut *log.borrow_mut()));
    std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    std::fs::write(&path, "").unwrap();
    panic::set_hook(Box::new(|_| {}));
    double(21);
    factorial(6);
    length("a text", true);
    length("", false);
    guarded(0);
    guarded(1);
    flush(&path);
    let threads: Vec<_> = (1..4)
        .map(|number| {
            let path = path.clone();
            std::thread::spawn(move || {
                double(number);
                guarded(number & 1);
                flush(&path);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
