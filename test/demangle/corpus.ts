/** Mangled names of real programs, and what other demanglers make of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from '../binaries.ts';

/** The mangled names in a file's symbol tables, each once, without versions. */
export function mangledNames(path: string): string[] {
  const names = new Set<string>();
  for (const options of [[], ['-D']]) {
    // A file without one of the tables gives none.
    for (const line of output('sh', ['-c', 'nm "$@" 2>/dev/null || true', '', ...options, path]).split('\n')) {
      const name = line.slice(line.lastIndexOf(' ') + 1).replace(/(?<=.)@.*$/, '');
      if (/^_(Z|R|GLOBAL_)/.test(name)) names.add(name);
    }
  }
  return [...names];
}

const lines = (text: string): string[] => text.split('\n').slice(0, -1);

/** What c++filt prints for each; the name itself where it can't read it. INSITU_TEST_CXXFILT names another one. */
export function cxxfilt(names: readonly string[], ...options: readonly string[]): string[] {
  return lines(output(process.env['INSITU_TEST_CXXFILT'] ?? 'c++filt', options, `${names.join('\n')}\n`));
}

/**
 * c++filt's own mistakes. Types of a vendor with template arguments (`u14__remove_constIT_E`, ABI section 5.1.5.2:
 * u <source-name> [<template-args>]) are read as if the arguments were another type's; Rust's constants of more than
 * 64 bits lose their first digit and gain their end mark.
 */
export const misreadByCxxfilt = (name: string): boolean =>
  /u14__remove_constI/.test(name) || (name.startsWith('_R') && /n?n[0-9a-f]{17,}_/.test(name));

const crate = `[package]
name = "expected"
version = "0.0.0"
edition = "2021"
[dependencies]
rustc-demangle = "=0.1.27"
`;

const rust = `use std::io::{self, BufRead, Write};
fn main() {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        match rustc_demangle::try_demangle(&line) {
            Ok(name) => writeln!(out, "{:#}", name).unwrap(),
            Err(_) => writeln!(out, "{}", line).unwrap(),
        }
    }
}
`;

/** Builds Rust's own demangler (the crate rustc-demangle) in a folder; gives what it prints for names, without hashes. */
export function rustDemangler(folder: string): (names: readonly string[]) => string[] {
  mkdirSync(join(folder, 'src'), { recursive: true });
  writeFileSync(join(folder, 'Cargo.toml'), crate);
  writeFileSync(join(folder, 'src', 'main.rs'), rust);
  output('cargo', ['build', '--release', '--quiet', '--manifest-path', join(folder, 'Cargo.toml')]);
  const program = join(folder, 'target', 'release', 'expected');
  return (names) => lines(output(program, [], `${names.join('\n')}\n`));
}

/** A Rust program that makes many kinds of names. */
export const rustProgram = `
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::sync::{mpsc, Arc, Mutex};
trait Shape { fn area(&self) -> f64; fn name(&self) -> String { "shape".into() } }
#[derive(Debug, Clone, PartialEq, PartialOrd)] struct Circle<T>(T);
impl<T: Into<f64> + Copy> Shape for Circle<T> { fn area(&self) -> f64 { let r: f64 = self.0.into(); r * r * 3.0 } }
struct Grid<const W: usize, const H: i32, const C: char, const B: bool>([u8; 4]);
impl<const W: usize, const H: i32, const C: char, const B: bool> Grid<W, H, C, B> {
    #[inline(never)] fn total(&self) -> usize { W + H.unsigned_abs() as usize + C as usize + B as usize + self.0[0] as usize }
}
#[inline(never)] fn apply<'a, F: Fn(&'a str) -> R, R: Debug>(f: F, s: &'a str) -> R { f(s) }
#[inline(never)] fn dynamic(x: &dyn Fn(i32, &str) -> Box<dyn Display + Send>) -> String { format!("{}", x(3, "é")) }
#[inline(never)] fn tuples<T: Debug>(x: (T, [T; 3], &[T], *const T, fn(T) -> T)) -> String { format!("{:?}", x.0) }
mod внутри { #[inline(never)] pub fn größe<T: std::fmt::Debug>(x: &mut T) -> usize { format!("{:?}", x).len() } }
unsafe extern "C" fn callback(x: i32) -> i32 { x + 1 }
fn main() {
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Circle(1.5f64)), Box::new(Circle(2.5f32))];
    let total: f64 = shapes.iter().map(|s| s.area()).sum();
    let mut map: HashMap<String, BTreeMap<u64, Option<Arc<Mutex<Vec<u8>>>>>> = HashMap::new();
    map.entry("a".into()).or_default().insert(1, Some(Arc::new(Mutex::new(vec![1]))));
    let (tx, rx) = mpsc::channel::<Result<Circle<i16>, Box<dyn std::error::Error + Send + Sync>>>();
    std::thread::spawn(move || { tx.send(Ok(Circle(3))).unwrap(); }).join().unwrap();
    println!("{total} {:?} {:?} {}", map, rx.recv().unwrap(), Grid::<3, -7, 'ß', true>([1, 2, 3, 4]).total());
    println!("{:?} {}", apply(|s| s.len(), "abc"), dynamic(&|n, s| Box::new(format!("{n}{s}"))));
    println!("{}", tuples((1u8, [1, 2, 3], &[4][..], std::ptr::null(), |x| x)));
    println!("{}", внутри::größe(&mut Some(Circle("x"))));
    let f: unsafe extern "C" fn(i32) -> i32 = callback; println!("{:?}", unsafe { f(2) });
}
`;
