// src/kernel/host/file.ts
var import_node_fs = require("node:fs");

// src/base/errors.ts
var MachineError = class extends Error {
  code;
  hints;
  constructor(message, details) {
    super(message, details.cause === void 0 ? void 0 : { cause: details.cause });
    this.name = "MachineError";
    this.code = details.code;
    this.hints = details.hints ?? [];
  }
};

// src/base/result.ts
var ok = (value) => ({ ok: true, value });
var fail = (error) => ({
  ok: false,
  error
});

// src/kernel/host/file.ts
var pageSize = 16 << 10;
var cachedPages = 32;
var HostFile = class _HostFile {
  path;
  size;
  device;
  inode;
  failure;
  #fd;
  /** Page number → bytes, the least recently used first. */
  #pages = /* @__PURE__ */ new Map();
  constructor(path, fd, size, device, inode) {
    this.path = path;
    this.size = size;
    this.device = device;
    this.inode = inode;
    this.#fd = fd;
  }
  /** Opens a regular file for reading. Fails with the system's code (ENOENT, EACCES …) or E_NOT_A_FILE. */
  static open(path) {
    let fd;
    try {
      fd = (0, import_node_fs.openSync)(path, "r");
      const stat = (0, import_node_fs.fstatSync)(fd);
      if (!stat.isFile()) {
        (0, import_node_fs.closeSync)(fd);
        const what = stat.isDirectory() ? "a folder" : "not a regular file";
        return fail(new MachineError(`${path} is ${what}`, { code: "E_NOT_A_FILE", hints: ["Name a program file."] }));
      }
      return ok(new _HostFile(path, fd, stat.size, stat.dev, stat.ino));
    } catch (cause) {
      if (fd !== void 0) (0, import_node_fs.closeSync)(fd);
      return fail(cannotOpen(path, cause));
    }
  }
  read(offset, length) {
    if (!(offset >= 0 && length > 0 && offset < this.size)) return new Uint8Array(0);
    const wanted = Math.min(length, this.size - offset);
    const page = Math.floor(offset / pageSize);
    const within = offset - page * pageSize;
    if (within + wanted <= pageSize) return this.#page(page).subarray(within, within + wanted);
    return this.#pread(offset, wanted);
  }
  readInto(target, offset) {
    if (!(offset >= 0 && offset < this.size)) return 0;
    return this.#preadInto(target, Math.min(target.length, this.size - offset), offset);
  }
  close() {
    if (this.#fd >= 0) (0, import_node_fs.closeSync)(this.#fd);
    this.#fd = -1;
    this.#pages.clear();
  }
  #page(number) {
    let bytes = this.#pages.get(number);
    if (bytes !== void 0) {
      this.#pages.delete(number);
    } else {
      bytes = this.#pread(number * pageSize, Math.min(pageSize, this.size - number * pageSize));
      if (this.#pages.size >= cachedPages) {
        for (const oldest of this.#pages.keys()) {
          this.#pages.delete(oldest);
          break;
        }
      }
    }
    this.#pages.set(number, bytes);
    return bytes;
  }
  #pread(offset, length) {
    const bytes = new Uint8Array(length);
    const done = this.#preadInto(bytes, length, offset);
    return done === length ? bytes : bytes.subarray(0, done);
  }
  #preadInto(target, length, offset) {
    let done = 0;
    try {
      while (done < length) {
        const count = (0, import_node_fs.readSync)(this.#fd, target, done, length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (cause) {
      this.failure = cause;
    }
    return done;
  }
};
function cannotOpen(path, cause) {
  const code = cause.code ?? "EIO";
  const reasons = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    ENOTDIR: "a part of the path is not a folder",
    ELOOP: "too many symbolic links",
    EMFILE: "too many files are open"
  };
  const hints = code === "EACCES" || code === "EPERM" ? ["Run insitu as root."] : code === "EMFILE" ? ["Raise the limit with: ulimit -n 65536"] : [];
  return new MachineError(`can't open ${path}: ${reasons[code] ?? cause.message}`, { code, hints, cause });
}

// src/base/lazy.ts
function lazy(compute) {
  let state;
  return () => {
    state ??= { value: compute() };
    return state.value;
  };
}

// src/base/numbers.ts
var virtualAddress = (value) => value;
var fileOffset = (value) => value;

// src/bytes/cursor.ts
var EndOfBytes = class extends Error {
  code = "E_END_OF_BYTES";
  /** Where the read started, counted from the cursor's first byte. */
  at;
  /** How many bytes were wanted. */
  wanted;
  /** How many bytes there are in all. */
  length;
  constructor(at, wanted, length) {
    super(`${wanted} bytes at offset ${at} wanted, but there are only ${length}`);
    this.name = "EndOfBytes";
    this.at = at;
    this.wanted = wanted;
    this.length = length;
  }
};
var OverlongNumber = class extends Error {
  code = "E_OVERLONG_NUMBER";
  at;
  constructor(at) {
    super(`the LEB128 number at offset ${at} is longer than 64 bits`);
    this.name = "OverlongNumber";
    this.at = at;
  }
};
var utf8 = new TextDecoder("utf-8");
var Cursor = class {
  bytes;
  littleEndian;
  /** Where the next read starts. May be set to anything; a read checks it. */
  offset;
  #view;
  constructor(bytes, littleEndian = true, offset = 0) {
    this.bytes = bytes;
    this.littleEndian = littleEndian;
    this.offset = offset;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get length() {
    return this.bytes.byteLength;
  }
  get remaining() {
    return Math.max(0, this.bytes.byteLength - this.offset);
  }
  get atEnd() {
    return this.offset >= this.bytes.byteLength;
  }
  /** Moves on by `count` bytes and returns where it stood; raises EndOfBytes past the end. */
  #take(count) {
    const at = this.offset;
    if (!(at >= 0 && count >= 0 && at + count <= this.bytes.byteLength)) {
      throw new EndOfBytes(at, count, this.bytes.byteLength);
    }
    this.offset = at + count;
    return at;
  }
  skip(count) {
    this.#take(count);
  }
  /** Moves on to the next multiple of `alignment` (a power of two), counted from the first byte. */
  align(alignment) {
    this.offset = Math.ceil(this.offset / alignment) * alignment;
  }
  u8() {
    return this.#view.getUint8(this.#take(1));
  }
  i8() {
    return this.#view.getInt8(this.#take(1));
  }
  u16() {
    return this.#view.getUint16(this.#take(2), this.littleEndian);
  }
  i16() {
    return this.#view.getInt16(this.#take(2), this.littleEndian);
  }
  u32() {
    return this.#view.getUint32(this.#take(4), this.littleEndian);
  }
  i32() {
    return this.#view.getInt32(this.#take(4), this.littleEndian);
  }
  u64() {
    return this.#view.getBigUint64(this.#take(8), this.littleEndian);
  }
  i64() {
    return this.#view.getBigInt64(this.#take(8), this.littleEndian);
  }
  /**
   * 64 unsigned bits as a number, without a bigint on the way. Exact below 2^53; above,
   * the nearest double, which is never a safe integer, so that `Number.isSafeInteger`
   * tells a caller who cares.
   */
  u64number() {
    const at = this.#take(8);
    const first = this.#view.getUint32(at, this.littleEndian);
    const second = this.#view.getUint32(at + 4, this.littleEndian);
    return this.littleEndian ? second * 4294967296 + first : first * 4294967296 + second;
  }
  /** 64 signed bits as a number; exact between -2^53 and 2^53, as `u64number`. */
  i64number() {
    const at = this.#take(8);
    const low = this.#view.getUint32(this.littleEndian ? at : at + 4, this.littleEndian);
    const high = this.#view.getInt32(this.littleEndian ? at + 4 : at, this.littleEndian);
    return high * 4294967296 + low;
  }
  /** Unsigned LEB128 as a number; exact below 2^53, as `u64number`. */
  uleb128() {
    const start = this.offset;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if ((byte & 128) === 0) return value;
      scale *= 128;
    }
    throw new OverlongNumber(start);
  }
  /** Signed LEB128 as a number; exact between -2^53 and 2^53. */
  sleb128() {
    const start = this.offset;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 7; count++) {
      const byte = this.u8();
      if ((byte & 128) === 0) return value + ((byte & 64) !== 0 ? byte - 128 : byte) * scale;
      value += (byte & 127) * scale;
      scale *= 128;
    }
    this.offset = start;
    return Number(this.sleb128big());
  }
  /** Unsigned LEB128 of up to 64 bits, exact. */
  uleb128big() {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 127) << shift;
      if ((byte & 128) === 0) return BigInt.asUintN(64, value);
    }
    throw new OverlongNumber(start);
  }
  /** Signed LEB128 of up to 64 bits, exact. */
  sleb128big() {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 127) << shift;
      if ((byte & 128) === 0) return BigInt.asIntN(64, (byte & 64) !== 0 ? value - (1n << shift + 7n) : value);
    }
    throw new OverlongNumber(start);
  }
  /** A view of the next `count` bytes; they are not copied. */
  take(count) {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }
  /** A string up to its zero byte, which is taken too; without one there, EndOfBytes. */
  cString() {
    const at = this.offset;
    const end = at < 0 ? -1 : this.bytes.indexOf(0, at);
    if (end < 0) throw new EndOfBytes(at, this.remaining + 1, this.bytes.byteLength);
    this.offset = end + 1;
    return decodeText(this.bytes, at, end);
  }
};
function decodeText(bytes, start, end) {
  if (end - start <= 24) {
    let text = "";
    for (let at = start; at < end; at++) {
      const byte = bytes[at];
      if (byte >= 128) return utf8.decode(bytes.subarray(start, end));
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return utf8.decode(bytes.subarray(start, end));
}
function cStringAt(bytes, offset) {
  if (!(offset >= 0 && offset < bytes.byteLength)) return void 0;
  const end = bytes.indexOf(0, offset);
  return end < 0 ? void 0 : decodeText(bytes, offset, end);
}

// src/debuginfo/elf/constants.ts
var ELFCLASS32 = 1;
var ELFCLASS64 = 2;
var ELFDATA2LSB = 1;
var ELFDATA2MSB = 2;
var EM_X86_64 = 62;
var PN_XNUM = 65535;
var SHN_XINDEX = 65535;
var PT_LOAD = 1;
var PT_DYNAMIC = 2;
var PT_INTERP = 3;
var PT_NOTE = 4;
var PT_GNU_EH_FRAME = 1685382480;
var PF_X = 1;
var SHT_NOTE = 7;
var SHT_NOBITS = 8;
var SHF_COMPRESSED = 2048;
var ELFCOMPRESS_ZLIB = 1;
var ELFCOMPRESS_ZSTD = 2;
var DT_NULL = 0;
var DT_NEEDED = 1;
var DT_STRTAB = 5;
var DT_STRSZ = 10;
var DT_SONAME = 14;
var DT_RPATH = 15;
var DT_RUNPATH = 29;
var DT_FLAGS_1 = 1879048187;
var NT_GNU_BUILD_ID = 3;

// src/debuginfo/elf/dynamic.ts
function readDynamic(bytes, littleEndian, wide, stringAt) {
  const cursor = new Cursor(bytes, littleEndian);
  const word = () => wide ? cursor.u64number() : cursor.u32();
  const entries = [];
  while (cursor.remaining >= (wide ? 16 : 8)) {
    const tag = word();
    const value2 = word();
    if (tag === DT_NULL) break;
    entries.push({ tag, value: value2 });
  }
  const value = (tag) => entries.find((entry) => entry.tag === tag)?.value;
  const table2 = value(DT_STRTAB);
  const size = value(DT_STRSZ) ?? 0;
  const text = (offset) => offset === void 0 || table2 === void 0 ? void 0 : stringAt(virtualAddress(table2), offset, size);
  return {
    needed: entries.filter((entry) => entry.tag === DT_NEEDED).map((entry) => text(entry.value)).filter((name) => name !== void 0),
    soname: text(value(DT_SONAME)) ?? "",
    rpath: text(value(DT_RPATH)) ?? "",
    runpath: text(value(DT_RUNPATH)) ?? "",
    flags1: value(DT_FLAGS_1) ?? 0
  };
}

// src/debuginfo/elf/errors.ts
var hex = (value) => `0x${value.toString(16)}`;
function notElf(path, size, head) {
  const hints = [];
  if (head[0] === 35 && head[1] === 33) {
    const line = new TextDecoder().decode(head.subarray(2)).split("\n", 1)[0] ?? "";
    const interpreter = line.trim().split(/\s+/, 1)[0];
    hints.push(
      interpreter ? `It is a script; the program that runs is its interpreter: name ${interpreter} instead.` : "It is a script; name the program that interprets it instead."
    );
  } else hints.push("Name an executable or a shared library for Linux.");
  const what = size === 0 ? "the file is empty" : 'it does not start with 0x7f "ELF"';
  return new MachineError(`${path} is not an ELF file: ${what}`, { code: "E_NOT_ELF", hints });
}
function truncatedElf(path, what, offset, length, size) {
  return new MachineError(
    `${path} is truncated: its ${what} should take ${length} bytes at offset ${hex(offset)}, but the file has ${size} bytes`,
    { code: "E_TRUNCATED_ELF", hints: ["Fetch or build the file again; it was not copied whole."] }
  );
}
function badElf(path, what) {
  return new MachineError(`${path} is a damaged ELF file: ${what}`, {
    code: "E_BAD_ELF",
    hints: [`Check it with: readelf -hlSW ${path}`]
  });
}
function unsupportedElf(path, what) {
  return new MachineError(`${path}: ${what}`, {
    code: "E_UNSUPPORTED_ELF",
    hints: ["insitu traces 64-bit little-endian programs (x86-64, arm64)."]
  });
}
function noSegment(path, address, nearest) {
  return new MachineError(`${path}: no loadable segment holds the address ${hex(address)}`, {
    code: "E_NO_SEGMENT",
    hints: [nearest, "Addresses are those that `nm` and `readelf -s` print, not file offsets."]
  });
}
function notExecutable(path, address, where) {
  return new MachineError(`${path}: the address ${hex(address)} is data, not code: ${where}`, {
    code: "E_NOT_EXECUTABLE",
    hints: ["A probe needs the address of an instruction."]
  });
}
function noFileBytes(path, address) {
  return new MachineError(
    `${path}: the address ${hex(address)} has no byte in the file (it is zero-filled memory, .bss)`,
    { code: "E_NO_FILE_BYTES" }
  );
}

// src/debuginfo/elf/header.ts
var sectionSize = { 32: 40, 64: 64 };
var segmentSize = { 32: 32, 64: 56 };
var mostHeaders = 2e5;
function readHeader(path, reader) {
  const bytes = reader.read(0, 64);
  const magic = bytes[0] === 127 && bytes[1] === 69 && bytes[2] === 76 && bytes[3] === 70;
  if (!magic) return fail(notElf(path, reader.size, bytes));
  const classByte = bytes[4];
  const order = bytes[5];
  const wide = classByte === ELFCLASS64;
  if (bytes.length < (wide ? 64 : 52)) return fail(truncatedElf(path, "ELF header", 0, wide ? 64 : 52, reader.size));
  if (!wide && classByte !== ELFCLASS32)
    return fail(badElf(path, `its class is ${classByte}, not 1 (32 bits) or 2 (64)`));
  if (order !== ELFDATA2LSB && order !== ELFDATA2MSB)
    return fail(badElf(path, `its byte order is ${order}, not 1 or 2`));
  const cursor = new Cursor(bytes, order === ELFDATA2LSB, 16);
  const word = () => wide ? cursor.u64number() : cursor.u32();
  const type = cursor.u16();
  const machine = cursor.u16();
  cursor.skip(4);
  const entry = word();
  const phoff = word();
  const shoff = word();
  cursor.skip(4);
  cursor.skip(2);
  const phentsize = cursor.u16();
  let phnum = cursor.u16();
  const shentsize = cursor.u16();
  let shnum = cursor.u16();
  let shstrndx = cursor.u16();
  const header = (sections, names, segments) => ({
    class: wide ? 64 : 32,
    littleEndian: order === ELFDATA2LSB,
    type,
    machine,
    entry: virtualAddress(entry),
    programHeaders: { offset: fileOffset(phoff), count: segments, entrySize: phentsize },
    sectionHeaders: { offset: fileOffset(shoff), count: sections, entrySize: shentsize },
    sectionNames: names
  });
  const extended = phnum === PN_XNUM || shstrndx === SHN_XINDEX || shnum === 0 && shoff !== 0;
  if (extended) {
    const first = shoff === 0 ? void 0 : readSections(path, reader, header(1, 0, 0)).sections[0];
    if (first !== void 0) {
      if (phnum === PN_XNUM) phnum = first.info;
      if (shstrndx === SHN_XINDEX) shstrndx = first.link;
      if (shnum === 0) shnum = first.size;
    } else if (phnum === PN_XNUM) {
      return fail(badElf(path, "the number of its program headers is in a section header that is not there"));
    }
  }
  return ok(header(shoff === 0 ? 0 : shnum, shstrndx, phoff === 0 ? 0 : phnum));
}
function readSegments(path, reader, header) {
  const { offset, count, entrySize } = header.programHeaders;
  if (count === 0) return ok([]);
  if (entrySize < segmentSize[header.class])
    return fail(badElf(path, `a program header of ${entrySize} bytes is too short`));
  if (count > mostHeaders) return fail(badElf(path, `it claims to have ${count} program headers`));
  const bytes = reader.read(offset, count * entrySize);
  if (bytes.length < count * entrySize) {
    return fail(truncatedElf(path, "program headers", offset, count * entrySize, reader.size));
  }
  const cursor = new Cursor(bytes, header.littleEndian);
  const wide = header.class === 64;
  const word = () => wide ? cursor.u64number() : cursor.u32();
  const segments = [];
  for (let index = 0; index < count; index++) {
    cursor.offset = index * entrySize;
    const type = cursor.u32();
    let flags = wide ? cursor.u32() : 0;
    const start = word();
    const address = word();
    word();
    const fileSize = word();
    const memorySize = word();
    if (!wide) flags = cursor.u32();
    const alignment = word();
    segments.push({
      type,
      flags,
      offset: fileOffset(start),
      address: virtualAddress(address),
      fileSize,
      memorySize,
      alignment
    });
  }
  return ok(segments);
}
function readSections(path, reader, header) {
  const { offset, entrySize } = header.sectionHeaders;
  let count = header.sectionHeaders.count;
  if (count === 0) return { sections: [], problem: void 0 };
  if (entrySize < sectionSize[header.class]) {
    return { sections: [], problem: badElf(path, `a section header of ${entrySize} bytes is too short`) };
  }
  let problem;
  if (count > mostHeaders) {
    problem = badElf(path, `it claims to have ${count} sections`);
    count = mostHeaders;
  }
  const bytes = reader.read(offset, count * entrySize);
  if (bytes.length < count * entrySize) {
    problem ??= truncatedElf(path, "section headers", offset, count * entrySize, reader.size);
    count = Math.floor(bytes.length / entrySize);
  }
  const cursor = new Cursor(bytes, header.littleEndian);
  const wide = header.class === 64;
  const word = () => wide ? cursor.u64number() : cursor.u32();
  const nameOffsets = [];
  const sections = [];
  for (let index = 0; index < count; index++) {
    cursor.offset = index * entrySize;
    nameOffsets.push(cursor.u32());
    sections.push({
      index,
      name: "",
      type: cursor.u32(),
      flags: word(),
      address: virtualAddress(word()),
      offset: fileOffset(word()),
      size: word(),
      link: cursor.u32(),
      info: cursor.u32(),
      alignment: word(),
      entrySize: word()
    });
  }
  const table2 = header.sectionNames === 0 ? void 0 : sections[header.sectionNames];
  if (table2 !== void 0) {
    const names = reader.read(table2.offset, Math.min(table2.size, 16 << 20));
    if (names.length < table2.size)
      problem ??= truncatedElf(path, "section names", table2.offset, table2.size, reader.size);
    for (const section of sections) section.name = sectionName(names, nameOffsets[section.index]);
  }
  return { sections, problem };
}
function sectionName(names, offset) {
  let name = "";
  for (let at = offset; at < Math.min(names.length, offset + 256) && names[at] !== 0; at++) {
    name += String.fromCharCode(names[at]);
  }
  return name;
}

// src/debuginfo/elf/note.ts
function* readNotes(bytes, littleEndian, alignment) {
  const padding = alignment === 8 ? 8 : 4;
  const cursor = new Cursor(bytes, littleEndian);
  try {
    while (cursor.remaining >= 12) {
      const nameSize = cursor.u32();
      const descriptionSize = cursor.u32();
      const type = cursor.u32();
      const name = cursor.take(nameSize);
      cursor.align(padding);
      const description = cursor.take(descriptionSize);
      cursor.align(padding);
      const end = name.indexOf(0);
      yield {
        name: String.fromCharCode(...name.subarray(0, Math.min(64, end < 0 ? nameSize : end))),
        type,
        description
      };
    }
  } catch (error) {
    if (!(error instanceof EndOfBytes)) throw error;
  }
}
function findBuildId(bytes, littleEndian, alignment) {
  for (const note of readNotes(bytes, littleEndian, alignment)) {
    const size = note.description.length;
    if (note.name === "GNU" && note.type === NT_GNU_BUILD_ID && size > 0 && size <= 64) return toHex(note.description);
  }
  return void 0;
}
function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

// src/debuginfo/elf/elf.ts
var mostNoteBytes = 1 << 20;
var mostDynamicBytes = 1 << 20;
var mostStringBytes = 64 << 10;
var mostSectionBytes = 1 << 30;
var ElfFile = class _ElfFile {
  path;
  reader;
  header;
  segments;
  #sections;
  constructor(path, reader, header, segments) {
    this.path = path;
    this.reader = reader;
    this.header = header;
    this.segments = segments;
    this.#sections = lazy(() => readSections(path, reader, header));
  }
  /** Reads file header and program headers. Fails with E_NOT_ELF, E_TRUNCATED_ELF or E_BAD_ELF. */
  static open(path, reader) {
    const header = readHeader(path, reader);
    if (!header.ok) return header;
    const segments = readSegments(path, reader, header.value);
    if (!segments.ok) return segments;
    return ok(new _ElfFile(path, reader, header.value, segments.value));
  }
  /** The sections that could be read; see `problem`. */
  get sections() {
    return this.#sections().sections;
  }
  /** Why `sections` is not all of them, undefined when it is. */
  get problem() {
    return this.#sections().problem;
  }
  /** The first section of that name. */
  section(name) {
    return this.sections.find((section) => section.name === name);
  }
  /**
   * The place in the file of the byte that is mapped at `address`: what a uprobe is
   * attached at. With `executable`, only segments with PF_X count. Fails with
   * E_NO_SEGMENT, E_NOT_EXECUTABLE, E_NO_FILE_BYTES (.bss), E_TRUNCATED_ELF (the byte
   * lies behind the end of the file).
   */
  toFileOffset(address, which = "executable") {
    let refusal;
    for (let index = this.segments.length - 1; index >= 0; index--) {
      const segment = this.segments[index];
      const within = address - segment.address;
      if (segment.type !== PT_LOAD || !(within >= 0 && within < segment.memorySize)) continue;
      if (which === "executable" && (segment.flags & PF_X) === 0) {
        refusal ??= notExecutable(this.path, address, describe(segment));
        continue;
      }
      if (within >= segment.fileSize) {
        refusal ??= noFileBytes(this.path, address);
        continue;
      }
      const offset = segment.offset + within;
      if (!Number.isSafeInteger(offset))
        return fail(badElf(this.path, `its segment at ${describe(segment)} is out of reach`));
      if (offset >= this.reader.size) {
        return fail(
          truncatedElf(
            this.path,
            `segment at ${describe(segment)}`,
            segment.offset,
            segment.fileSize,
            this.reader.size
          )
        );
      }
      return ok(fileOffset(offset));
    }
    return fail(refusal ?? noSegment(this.path, address, this.#describeSegments(which)));
  }
  /**
   * The virtual address of a byte of the file: the way back from a process mapping.
   * Executable segments are asked first, since the same byte may be mapped twice
   * (as data and as code). undefined when no PT_LOAD segment holds that byte.
   */
  toVirtualAddress(offset) {
    let answer;
    for (const segment of this.segments) {
      const within = offset - segment.offset;
      if (segment.type !== PT_LOAD || !(within >= 0 && within < segment.fileSize)) continue;
      const address = segment.address + within;
      if (!Number.isSafeInteger(address)) continue;
      if ((segment.flags & PF_X) !== 0) return virtualAddress(address);
      answer ??= virtualAddress(address);
    }
    return answer;
  }
  #describeSegments(which) {
    const wanted = this.segments.filter(
      (segment) => segment.type === PT_LOAD && (which === "any" || (segment.flags & PF_X) !== 0)
    );
    if (wanted.length === 0) return `The file has no ${which === "any" ? "loadable" : "executable"} segment.`;
    const shown = wanted.slice(0, 4).map(describe).join(", ");
    const kind = which === "any" ? "loadable" : "executable";
    return `Its ${kind} addresses are ${shown}${wanted.length > 4 ? ` and ${wanted.length - 4} more` : ""}.`;
  }
  /** How a section is packed. Fails when its header is not all there or names an unknown method. */
  packing(section) {
    if (section.type === SHT_NOBITS) {
      return ok({ method: "none", offset: section.offset, size: 0, unpackedSize: 0 });
    }
    const plain = { method: "none", offset: section.offset, size: section.size, unpackedSize: section.size };
    if ((section.flags & SHF_COMPRESSED) !== 0) {
      const wide = this.header.class === 64;
      const length = wide ? 24 : 12;
      const bytes = this.reader.read(section.offset, length);
      if (bytes.length < length || section.size < length) return fail(this.#cut(section));
      const cursor = new Cursor(bytes, this.header.littleEndian);
      const type = cursor.u32();
      if (wide) cursor.skip(4);
      const unpackedSize = wide ? cursor.u64number() : cursor.u32();
      const method = type === ELFCOMPRESS_ZLIB ? "zlib" : type === ELFCOMPRESS_ZSTD ? "zstd" : void 0;
      if (method === void 0) {
        return fail(unsupportedElf(this.path, `section ${section.name} is compressed by an unknown method (${type})`));
      }
      return ok({ method, offset: fileOffset(section.offset + length), size: section.size - length, unpackedSize });
    }
    if (section.name.startsWith(".zdebug")) {
      const bytes = this.reader.read(section.offset, 12);
      if (bytes.length === 12 && decodeText(bytes, 0, 4) === "ZLIB") {
        const unpackedSize = new Cursor(bytes, false, 4).u64number();
        return ok({ method: "zlib", offset: fileOffset(section.offset + 12), size: section.size - 12, unpackedSize });
      }
    }
    return ok(plain);
  }
  /**
   * A section's bytes, unpacked; empty for SHT_NOBITS. Fails with E_TRUNCATED_ELF, with
   * E_BAD_ELF when what comes out of `inflate` is not as promised, with
   * E_UNSUPPORTED_ELF for a compressed section where no `inflate` is given.
   */
  contents(section, inflate) {
    const packing = this.packing(section);
    if (!packing.ok) return packing;
    const { method, offset, size, unpackedSize } = packing.value;
    if (size > mostSectionBytes || unpackedSize > mostSectionBytes) {
      if (offset + size > this.reader.size) return fail(this.#cut(section));
      return fail(badElf(this.path, `section ${section.name} claims ${unpackedSize} bytes`));
    }
    const bytes = this.reader.read(offset, size);
    if (bytes.length < size) return fail(this.#cut(section));
    if (method === "none") return ok(bytes);
    if (inflate === void 0) {
      return fail(unsupportedElf(this.path, `section ${section.name} is compressed (${method})`));
    }
    try {
      const unpacked = inflate(bytes, method, unpackedSize);
      if (unpacked.length === unpackedSize) return ok(unpacked);
      return fail(
        badElf(this.path, `section ${section.name} unpacks to ${unpacked.length} bytes, not ${unpackedSize}`)
      );
    } catch (cause) {
      if (cause instanceof MachineError) return fail(cause);
      return fail(badElf(this.path, `section ${section.name} can't be unpacked (${cause.message})`));
    }
  }
  #cut(section) {
    return truncatedElf(this.path, `section ${section.name}`, section.offset, section.size, this.reader.size);
  }
  /** The build-id as hex digits, '' when there is none. */
  buildId = lazy(() => {
    const search = (offset, size, alignment) => findBuildId(this.reader.read(offset, Math.min(size, mostNoteBytes)), this.header.littleEndian, alignment);
    for (const segment of this.segments) {
      const found = segment.type === PT_NOTE ? search(segment.offset, segment.fileSize, segment.alignment) : void 0;
      if (found !== void 0) return found;
    }
    for (const section of this.sections) {
      const found = section.type === SHT_NOTE ? search(section.offset, section.size, section.alignment) : void 0;
      if (found !== void 0) return found;
    }
    return "";
  });
  /** What the file needs at run time; undefined for a static file, or when the section can't be read. */
  dynamic = lazy(() => {
    const segment = this.segments.find((one) => one.type === PT_DYNAMIC);
    if (segment === void 0) return void 0;
    const bytes = this.reader.read(segment.offset, Math.min(segment.fileSize, mostDynamicBytes));
    if (bytes.length === 0) return void 0;
    return readDynamic(bytes, this.header.littleEndian, this.header.class === 64, (table2, offset, tableSize) => {
      if (offset >= tableSize) return void 0;
      const place = this.toFileOffset(virtualAddress(table2 + offset), "any");
      return place.ok ? this.stringAt(place.value, tableSize - offset) : void 0;
    });
  });
  /** PT_INTERP: the dynamic loader's path; '' when there is none. */
  get interpreter() {
    const segment = this.segments.find((one) => one.type === PT_INTERP);
    return segment === void 0 ? "" : this.stringAt(segment.offset, segment.fileSize) ?? "";
  }
  /** .gnu_debuglink: the name and checksum of a separate debug file; undefined when there is none. */
  debugLink() {
    const section = this.section(".gnu_debuglink");
    if (section === void 0 || section.size > 4096) return void 0;
    const bytes = this.reader.read(section.offset, section.size);
    const name = cStringAt(bytes, 0);
    if (name === void 0 || name === "" || name.includes("/")) return void 0;
    const cursor = new Cursor(bytes, this.header.littleEndian, bytes.indexOf(0) + 4 & ~3);
    return cursor.remaining < 4 ? void 0 : { name, crc: cursor.u32() };
  }
  /** The zero-terminated string at a place in the file, at most `limit` bytes; undefined when there is no end to it. */
  stringAt(offset, limit) {
    let size = 256;
    for (; ; ) {
      const wanted = Math.min(size, limit, mostStringBytes);
      const bytes = this.reader.read(offset, wanted);
      const end = bytes.indexOf(0);
      if (end >= 0) return decodeText(bytes, 0, end);
      if (bytes.length < size || size >= mostStringBytes) return void 0;
      size *= 16;
    }
  }
};
function describe(segment) {
  return `0x${segment.address.toString(16)}-0x${(segment.address + segment.memorySize).toString(16)}`;
}

// src/bytes/crc32.ts
var table = lazy(() => {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? value >>> 1 ^ 3988292384 : value >>> 1;
    tables[byte] = value;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256];
    tables[at] = before >>> 8 ^ tables[before & 255];
  }
  return tables;
});
function crc32(bytes, previous = 0) {
  const t = table();
  let crc = ~previous;
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    const low = crc ^ (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24);
    crc = t[1792 + (low & 255)] ^ t[1536 + (low >>> 8 & 255)] ^ t[1280 + (low >>> 16 & 255)] ^ t[1024 + (low >>> 24)] ^ t[768 + bytes[at + 4]] ^ t[512 + bytes[at + 5]] ^ t[256 + bytes[at + 6]] ^ t[bytes[at + 7]];
  }
  for (; at < bytes.length; at++) crc = crc >>> 8 ^ t[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}

// src/program/unwind.ts
var fileBits = 12;
var mostFiles = 2 ** fileBits;
var ruleBits = 14;
var mostRules = 2 ** ruleBits;
var ruleBytes = 16;
var RuleKind = {
  /** Nothing is known here. */
  none: 0,
  /** The outermost frame: the return address is undefined. */
  end: 1,
  /** CFA = base + offset. */
  register: 2,
  /** CFA = [base + offset] + extra. */
  deref: 3,
  /** CFA = base + offset + 8 where (pc & 15) >= extra (a procedure linkage table). */
  plt: 4,
  /** A signal frame of the kernel: all registers are in the ucontext at rsp. */
  signal: 5,
  /** CFA = base + offset; the return address is in the register `extra`. */
  returnRegister: 6,
  /** There is information, of a kind that is not understood. */
  unsupported: 7
};
var Saved = {
  /** In the same register. */
  same: 0,
  /** At CFA + offset. */
  cfa: 1,
  /** At rbp + offset, rbp being this frame's. */
  frame: 2
};
var volatileBase = 128;
var Register = { rax: 0, rbx: 3, rdi: 5, rbp: 6, rsp: 7, rip: 16 };
var blockBytes = 16384;
var rowBytes = 4;
var rowsPerBlock = blockBytes / rowBytes;
var pageBits = 16;
var directoryBytes = 8;
var entriesPerBlock = blockBytes / directoryBytes;
var processHead = 24;
var mappingBytes = 24;
var mostMappings = 512;
var processBytes = processHead + mappingBytes * mostMappings;

// src/symbolize/unwind/rules.ts
function packRule(rule) {
  const kept = rule.base === 3 || rule.base === 6 || rule.base === 7;
  const base = rule.base | (kept ? 0 : volatileBase);
  return [
    rule.kind | base << 8 | rule.rbpSaved << 16 | rule.rbxSaved << 24,
    rule.offset,
    rule.rbpOffset & 65535 | rule.rbxOffset << 16,
    rule.extra & 65535
  ];
}
function readRule(words, index) {
  const at = index * (ruleBytes / 4);
  const first = words[at];
  const saved = words[at + 2];
  return {
    kind: first & 255,
    base: first >> 8 & 127,
    rbpSaved: first >> 16 & 255,
    rbxSaved: first >>> 24 & 255,
    offset: words[at + 1],
    rbpOffset: saved << 16 >> 16,
    rbxOffset: saved >> 16,
    extra: words[at + 3] << 16 >> 16
  };
}
var same = { rbpSaved: Saved.same, rbpOffset: 0, rbxSaved: Saved.same, rbxOffset: 0 };
var noRule = { kind: RuleKind.none, base: 0, offset: 0, extra: 0, ...same };
var endRule = { ...noRule, kind: RuleKind.end };
var signalRule = { ...noRule, kind: RuleKind.signal };
var unsupportedRule = { ...noRule, kind: RuleKind.unsupported };
var RuleSet = class {
  #limit;
  #words = new Int32Array(4 * 256);
  #slots = new Int32Array(1024).fill(-1);
  #count = 0;
  /** Takes no more than `limit` rules. */
  constructor(limit) {
    this.#limit = limit;
    this.add(...packRule(noRule));
  }
  get count() {
    return this.#count;
  }
  /** Four words a rule. */
  get words() {
    return this.#words.subarray(0, 4 * this.#count);
  }
  /** The rule's number; -1 when there is no room for another one. */
  add(a, b, c, d) {
    const mask = this.#slots.length - 1;
    let slot = hash(a, b, c, d) & mask;
    for (; ; ) {
      const index2 = this.#slots[slot];
      if (index2 < 0) break;
      const at = 4 * index2;
      const words = this.#words;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return index2;
      slot = slot + 1 & mask;
    }
    if (this.#count >= this.#limit) return -1;
    const index = this.#count++;
    if (4 * this.#count > this.#words.length) this.#grow();
    this.#words.set([a, b, c, d], 4 * index);
    if (2 * this.#count > this.#slots.length) this.#rehash();
    else this.#slots[slot] = index;
    return index;
  }
  #grow() {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }
  #rehash() {
    this.#slots = new Int32Array(2 * this.#slots.length).fill(-1);
    const mask = this.#slots.length - 1;
    for (let index = 0; index < this.#count; index++) {
      const [a, b, c, d] = this.#words.subarray(4 * index, 4 * index + 4);
      let slot = hash(a, b, c, d) & mask;
      while (this.#slots[slot] >= 0) slot = slot + 1 & mask;
      this.#slots[slot] = index;
    }
  }
};
function hash(a, b, c, d) {
  let h = Math.imul(a, 2654435761) ^ Math.imul(b, 2246822519);
  h = Math.imul(h ^ h >>> 15 ^ c, 3266489917) ^ Math.imul(d, 668265263);
  return h ^ h >>> 13;
}

// src/symbolize/unwind/cfi.ts
var DW_EH_PE_omit = 255;
var pointerWidths = { 0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8 };
var RBP = Register.rbp;
var RBX = Register.rbx;
var RA = Register.rip;
var Told = { nothing: 0, undefined: 1, offset: 2, expression: 3, register: 4, other: 5 };
var State = class {
  cfaBase = 0;
  cfaOffset = 0;
  /** Index into expressions, -1: base and offset hold. */
  cfaExpression = -1;
  rbp = Told.nothing;
  rbpValue = 0;
  rbx = Told.nothing;
  rbxValue = 0;
  ra = Told.nothing;
  raValue = 0;
  copyFrom(other) {
    this.cfaBase = other.cfaBase;
    this.cfaOffset = other.cfaOffset;
    this.cfaExpression = other.cfaExpression;
    this.rbp = other.rbp;
    this.rbpValue = other.rbpValue;
    this.rbx = other.rbx;
    this.rbxValue = other.rbxValue;
    this.ra = other.ra;
    this.raValue = other.raValue;
  }
};
var mostStates = 32;
var FrameReader = class {
  counts = { functions: 0, damaged: 0, unsupported: 0 };
  #section;
  #bytes;
  #view;
  #rules;
  #cies = /* @__PURE__ */ new Map();
  #state = new State();
  #initial = new State();
  #stack = [];
  #forms = [];
  #end;
  #signal;
  #unsupported;
  #at = 0;
  /** The rule that was made last, and of what. */
  #last = { a: 0, b: 0, c: 0, d: 0, rule: 0 };
  constructor(section, rules) {
    this.#section = section;
    this.#bytes = section.bytes;
    this.#view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
    this.#rules = rules;
    this.#end = rules.add(...packRule(endRule));
    this.#signal = rules.add(...packRule(signalRule));
    this.#unsupported = rules.add(...packRule(unsupportedRule));
  }
  /** Goes on from entry to entry for at most about `most` of them; false at the end of the section. */
  read(sink, most) {
    const bytes = this.#bytes;
    const eh = this.#section.kind === "eh_frame";
    let at = this.#next;
    for (let left = most; at + 8 <= bytes.length; left--) {
      if (left === 0) {
        this.#next = at;
        return true;
      }
      let length = this.#view.getUint32(at, true);
      let body = at + 4;
      if (length === 0) {
        at = body;
        continue;
      }
      const wide = length === 4294967295;
      if (wide) {
        if (at + 20 > bytes.length) break;
        length = this.#view.getUint32(at + 4, true) + 2 ** 32 * this.#view.getUint32(at + 8, true);
        body = at + 12;
      } else if (length > 4294967280) break;
      const end = body + length;
      if (end > bytes.length) break;
      const word = this.#view.getUint32(body, true);
      const idBytes = wide && !eh ? 8 : 4;
      const isCie = eh ? word === 0 : word === 4294967295;
      if (!isCie) {
        const cie = this.#cie(eh ? body - word : word);
        if (cie !== void 0) this.#entry(cie, body + idBytes, end, sink);
        else this.counts.damaged++;
      }
      at = end;
    }
    this.#next = bytes.length;
    return false;
  }
  #next = 0;
  #cie(at) {
    if (this.#cies.has(at)) return this.#cies.get(at);
    let cie;
    try {
      cie = this.#readCie(at);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    this.#cies.set(at, cie);
    return cie;
  }
  #readCie(start) {
    if (!(start >= 0 && start + 12 < this.#bytes.length)) return void 0;
    const eh = this.#section.kind === "eh_frame";
    let length = this.#view.getUint32(start, true);
    this.#at = start + 4;
    const wide = length === 4294967295;
    if (wide) {
      length = this.#view.getUint32(start + 4, true);
      this.#at = start + 12;
    }
    const end = this.#at + length;
    if (end > this.#bytes.length) return void 0;
    this.#at += wide && !eh ? 8 : 4;
    const version = this.#byte();
    if (version !== 1 && version !== 3 && version !== 4) return void 0;
    let augmentation = "";
    for (let byte = this.#byte(); byte !== 0; byte = this.#byte()) augmentation += String.fromCharCode(byte);
    if (version === 4) {
      if (this.#byte() !== 8 || this.#byte() !== 0) return void 0;
    }
    const code = this.#uleb();
    const data = this.#sleb();
    const returnRegister = version === 1 ? this.#byte() : this.#uleb();
    let encoding = 0;
    let signal = false;
    if (augmentation.startsWith("z")) {
      const size = this.#uleb();
      const instructions = this.#at + size;
      for (const letter of augmentation.slice(1)) {
        if (letter === "R") encoding = this.#byte();
        else if (letter === "L") this.#byte();
        else if (letter === "P") this.#at += pointerWidths[this.#byte() & 15] ?? 0;
        else if (letter === "S") signal = true;
        else if (letter !== "B" && letter !== "G") break;
      }
      this.#at = instructions;
    } else if (augmentation !== "") return void 0;
    if (encoding === DW_EH_PE_omit || returnRegister !== RA) return void 0;
    const hasAugmentation = augmentation !== "";
    return { code, data, returnRegister, encoding, hasAugmentation, signal, start: this.#at, end };
  }
  #entry(cie, start, end, sink) {
    try {
      this.#at = start;
      const format = cie.encoding & 15;
      const width = pointerWidths[format] ?? 0;
      if (width === 0 || start + 2 * width > end) throw new RangeError();
      let address = this.#number(start, format);
      if ((cie.encoding & 112) === 16) address += this.#section.address + start;
      else if ((cie.encoding & 112) !== 0) throw new RangeError();
      const size = this.#number(start + width, format & 7);
      if (address <= 0 || size <= 0 || address + size > 2 ** 32) return;
      this.#at = start + 2 * width;
      if (cie.hasAugmentation) {
        const augmentation = this.#uleb();
        this.#at += augmentation;
      }
      this.counts.functions++;
      if (cie.signal) {
        sink(address, this.#signal);
        sink(address + size, 0);
        return;
      }
      const state = this.#state;
      state.copyFrom(empty);
      this.#forms.length = 0;
      this.#stack.length = 0;
      const instructions = this.#at;
      this.#at = cie.start;
      this.#run(cie, cie.end, address, address, void 0);
      this.#initial.copyFrom(state);
      this.#at = instructions;
      this.#run(cie, end, address, address + size, sink);
      sink(address + size, 0);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.counts.damaged++;
    }
  }
  /** Carries out instructions up to `end`; a row is handed on when the place moves on. */
  #run(cie, end, start, limit, sink) {
    const state = this.#state;
    let place = start;
    const advance = (delta) => {
      if (delta === 0 || sink === void 0) return;
      sink(place, this.#rule());
      place += delta * cie.code;
    };
    while (this.#at < end && place < limit + (sink === void 0 ? 1 : 0)) {
      const byte = this.#byte();
      const low = byte & 63;
      switch (byte >> 6) {
        case 1:
          advance(low);
          continue;
        case 2:
          this.#set(low, Told.offset, this.#uleb() * cie.data);
          continue;
        case 3:
          this.#restore(low);
          continue;
        default:
      }
      switch (byte) {
        case 0:
          break;
        case 1: {
          const width = pointerWidths[cie.encoding & 15] ?? 8;
          let address = this.#number(this.#at, cie.encoding & 15);
          if ((cie.encoding & 112) === 16) address += this.#section.address + this.#at;
          this.#at += width;
          if (sink !== void 0 && address > place) {
            sink(place, this.#rule());
            place = address;
          }
          break;
        }
        case 2:
          advance(this.#byte());
          break;
        case 3:
          this.#at += 2;
          advance(this.#view.getUint16(this.#at - 2, true));
          break;
        case 4:
          this.#at += 4;
          advance(this.#view.getUint32(this.#at - 4, true));
          break;
        case 5:
          this.#set(this.#uleb(), Told.offset, this.#uleb() * cie.data);
          break;
        case 6:
          this.#restore(this.#uleb());
          break;
        case 7:
          this.#set(this.#uleb(), Told.undefined, 0);
          break;
        case 8:
          this.#set(this.#uleb(), Told.nothing, 0);
          break;
        case 9:
          this.#set(this.#uleb(), Told.register, this.#uleb());
          break;
        case 10: {
          if (this.#stack.length >= mostStates) throw new RangeError();
          const kept = new State();
          kept.copyFrom(state);
          this.#stack.push(kept);
          break;
        }
        case 11: {
          const kept = this.#stack.pop();
          if (kept === void 0) throw new RangeError();
          state.copyFrom(kept);
          break;
        }
        case 12:
          state.cfaBase = this.#uleb();
          state.cfaOffset = this.#uleb();
          state.cfaExpression = -1;
          break;
        case 13:
          state.cfaBase = this.#uleb();
          state.cfaExpression = -1;
          break;
        case 14:
          state.cfaOffset = this.#uleb();
          break;
        case 15:
          state.cfaExpression = this.#expression();
          break;
        case 16:
          this.#set(this.#uleb(), Told.expression, this.#expression());
          break;
        case 17:
          this.#set(this.#uleb(), Told.offset, this.#sleb() * cie.data);
          break;
        case 18:
          state.cfaBase = this.#uleb();
          state.cfaOffset = this.#sleb() * cie.data;
          state.cfaExpression = -1;
          break;
        case 19:
          state.cfaOffset = this.#sleb() * cie.data;
          break;
        case 20:
          this.#set(this.#uleb(), Told.other, this.#uleb());
          break;
        case 21:
          this.#set(this.#uleb(), Told.other, this.#sleb());
          break;
        case 22:
          this.#set(this.#uleb(), Told.other, this.#expression());
          break;
        case 45:
          break;
        case 46:
          this.#uleb();
          break;
        case 47:
          this.#set(this.#uleb(), Told.offset, -this.#uleb() * cie.data);
          break;
        default:
          throw new RangeError();
      }
    }
    if (sink !== void 0 && place < limit) sink(place, this.#rule());
  }
  #set(register, told, value) {
    const state = this.#state;
    if (register === RBP) {
      state.rbp = told;
      state.rbpValue = value;
    } else if (register === RBX) {
      state.rbx = told;
      state.rbxValue = value;
    } else if (register === RA) {
      state.ra = told;
      state.raValue = value;
    }
  }
  #restore(register) {
    const { rbp, rbpValue, rbx, rbxValue, ra, raValue } = this.#initial;
    if (register === RBP) this.#set(register, rbp, rbpValue);
    else if (register === RBX) this.#set(register, rbx, rbxValue);
    else if (register === RA) this.#set(register, ra, raValue);
  }
  /** The number of the rule that the state comes to. */
  #rule() {
    const state = this.#state;
    if (state.ra === Told.undefined) return this.#end;
    let kind = RuleKind.register;
    let base = state.cfaBase;
    let offset = state.cfaOffset;
    let extra = 0;
    if (state.cfaExpression >= 0) {
      const form = this.#forms[state.cfaExpression];
      if (form === void 0) return this.#unsupportedRow();
      base = form.base;
      offset = form.offset;
      if (form.form !== "register") {
        kind = form.form === "plt" ? RuleKind.plt : RuleKind.deref;
        extra = form.extra;
      }
    }
    if (state.ra === Told.register && kind === RuleKind.register) {
      kind = RuleKind.returnRegister;
      extra = state.raValue;
    } else if (state.ra !== Told.offset || state.raValue !== -8) return this.#unsupportedRow();
    const rbp = this.#saved(state.rbp, state.rbpValue);
    const rbx = this.#saved(state.rbx, state.rbxValue);
    const fits = base <= 15 && offset === (offset | 0) && extra === extra << 16 >> 16;
    if (!fits || rbp === void 0 || rbx === void 0) return this.#unsupportedRow();
    const kept = base === RBX || base === RBP || base === Register.rsp;
    const a = kind | (kept ? base : base | volatileBase) << 8 | (rbp & 3) << 16 | (rbx & 3) << 24;
    const c = rbp >> 2 & 65535 | rbx >> 2 << 16;
    const d = extra & 65535;
    const last = this.#last;
    if (last.a === a && last.b === offset && last.c === c && last.d === d) return last.rule;
    const rule = this.#rules.add(a, offset, c, d);
    if (rule < 0) return this.#unsupportedRow();
    last.a = a;
    last.b = offset;
    last.c = c;
    last.d = d;
    last.rule = rule;
    return rule;
  }
  #unsupportedRow() {
    this.counts.unsupported++;
    return this.#unsupported;
  }
  /** Where a register is, `Saved` in the low two bits and the offset above; undefined for what has no form. */
  #saved(told, value) {
    switch (told) {
      case Told.nothing:
      case Told.undefined:
        return Saved.same;
      case Told.offset:
        return value === value << 16 >> 16 ? value << 2 | Saved.cfa : void 0;
      case Told.expression: {
        const form = this.#forms[value];
        if (form?.form !== "register" || form.base !== RBP) return void 0;
        return form.offset === form.offset << 16 >> 16 ? form.offset << 2 | Saved.frame : void 0;
      }
      default:
        return void 0;
    }
  }
  /** Reads an expression block; gives its index among the forms of this entry. */
  #expression() {
    const size = this.#uleb();
    const end = this.#at + size;
    if (end > this.#bytes.length) throw new RangeError();
    const form = this.#form(end);
    this.#at = end;
    return this.#forms.push(form) - 1;
  }
  /** The forms in use: a register and an offset, what lies there, and the one of procedure linkage tables. */
  #form(end) {
    const first = this.#byte();
    if (first < 112 || first > 143) return void 0;
    const base = first - 112;
    const offset = this.#sleb();
    if (this.#at === end) return { form: "register", base, offset };
    const next = this.#byte();
    if (next === 6) {
      if (this.#at === end) return { form: "deref", base, offset, extra: 0 };
      const last = this.#byte();
      if (last === 35) {
        const extra = this.#uleb();
        return this.#at === end ? { form: "deref", base, offset, extra } : void 0;
      }
      return void 0;
    }
    if (next !== 128 || this.#sleb() !== 0 || this.#byte() !== 63 || this.#byte() !== 26) return void 0;
    const threshold = this.#byte();
    if (threshold < 48 || threshold > 63) return void 0;
    for (const operation of [42, 51, 36, 34]) if (this.#byte() !== operation) return void 0;
    return this.#at === end ? { form: "plt", base, offset, extra: threshold - 48 } : void 0;
  }
  #byte() {
    const byte = this.#bytes[this.#at++];
    if (byte === void 0) throw new RangeError();
    return byte;
  }
  #uleb() {
    let byte = this.#byte();
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let scale = 128; byte >= 128; scale *= 128) {
      byte = this.#byte();
      value += (byte & 127) * scale;
    }
    return value;
  }
  #sleb() {
    let value = 0;
    let scale = 1;
    for (; ; ) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      scale *= 128;
      if (byte < 128) return (byte & 64) !== 0 ? value - scale : value;
    }
  }
  #number(at, format) {
    switch (format) {
      case 2:
        return this.#view.getUint16(at, true);
      case 10:
        return this.#view.getInt16(at, true);
      case 3:
        return this.#view.getUint32(at, true);
      case 11:
        return this.#view.getInt32(at, true);
      default:
        return this.#view.getInt32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    }
  }
};
var empty = new State();

// src/symbolize/unwind/table.ts
var blockWords = rowsPerBlock;
var pageMask = 2 ** pageBits - 1;
var mostPadding = 15;
var mostSectionBytes2 = 1 << 30;
var batch = 4096;
function buildTable(elf, inflate) {
  const steps = buildTableInSteps(elf, inflate);
  for (; ; ) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
function* buildTableInSteps(elf, inflate) {
  const { header } = elf;
  if (header.class !== 64 || !header.littleEndian || header.machine !== EM_X86_64) {
    return fail(unsupportedElf(elf.path, "it is not an x86-64 file"));
  }
  const rules = new RuleSet(mostRules);
  const rows = new Rows(elf.segments);
  const counts = { functions: 0, damaged: 0, unsupported: 0 };
  for (const section of frameSections(elf, inflate)) {
    const reader = new FrameReader(section, rules);
    rows.layer();
    while (reader.read(rows.sink, batch)) yield;
    counts.functions += reader.counts.functions;
    counts.damaged += reader.counts.damaged;
    counts.unsupported += reader.counts.unsupported;
  }
  yield;
  const packed = packRows(rows.sorted());
  return ok({ rules: rules.words.slice(), blocks: packed.blocks, counts: { ...counts, rows: packed.rows, cutRows: packed.cut } });
}
function frameSections(elf, inflate) {
  const sections = [];
  const eh = findEhFrame(elf);
  if (eh !== void 0 && eh.size <= mostSectionBytes2) {
    const place = elf.toFileOffset(eh.address, "any");
    if (place.ok) {
      sections.push({ kind: "eh_frame", bytes: elf.reader.read(place.value, eh.size), address: eh.address });
    }
  }
  const debug = elf.section(".debug_frame") ?? elf.section(".zdebug_frame");
  if (debug !== void 0) {
    const bytes = elf.contents(debug, inflate);
    if (bytes.ok) sections.push({ kind: "debug_frame", bytes: bytes.value, address: 0 });
  }
  return sections;
}
function findEhFrame(elf) {
  const section = elf.section(".eh_frame");
  if (section !== void 0 && section.address !== 0) return { address: section.address, size: section.size };
  const header = elf.segments.find((segment) => segment.type === PT_GNU_EH_FRAME);
  if (header === void 0) return void 0;
  const bytes = elf.reader.read(header.offset, 8);
  if (bytes.length < 8 || bytes[0] !== 1 || bytes[1] !== 27) return void 0;
  const address = header.address + 4 + new DataView(bytes.buffer, bytes.byteOffset, 8).getInt32(4, true);
  const holder = elf.segments.find(
    (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.fileSize
  );
  return holder === void 0 ? void 0 : { address, size: holder.address + holder.fileSize - address };
}
var ruleScale = 2 ** 14;
var layerScale = 2 * ruleScale;
var Rows = class {
  #packed = new Float64Array(1 << 14);
  #count = 0;
  #layer = 2;
  #segment;
  #segments;
  #last = -1;
  constructor(segments) {
    this.#segments = segments.filter((one) => one.type === PT_LOAD && (one.flags & PF_X) !== 0);
  }
  /** What is added from now on counts less than what is there already. */
  layer() {
    this.#layer = Math.max(0, this.#layer - 1);
    this.#last = -1;
  }
  sink = (address, rule) => {
    let segment = this.#segment;
    if (segment === void 0 || address < segment.address || address > segment.address + segment.fileSize) {
      segment = this.#segments.find((one) => address >= one.address && address <= one.address + one.fileSize);
      if (segment === void 0) return;
      this.#segment = segment;
    }
    const offset = address - segment.address + segment.offset;
    if (offset >= 2 ** 32) return;
    if (offset === this.#last && rule !== 0) this.#count--;
    if (this.#count === this.#packed.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#packed);
      this.#packed = larger;
    }
    this.#packed[this.#count++] = offset * layerScale + (rule === 0 ? 0 : this.#layer * ruleScale) + rule;
    this.#last = rule === 0 ? -1 : offset;
  };
  /** Ascending, one a place. */
  sorted() {
    return this.#packed.subarray(0, this.#count).sort();
  }
};
function packRows(sorted) {
  const offsets = new Float64Array(sorted.length + 1);
  const rules = new Uint16Array(sorted.length + 1);
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    const value = sorted[i];
    const offset = Math.floor(value / layerScale);
    const rule = value % ruleScale;
    if (rule === 0) {
      const next = i + 1 < sorted.length ? Math.floor(sorted[i + 1] / layerScale) : Number.POSITIVE_INFINITY;
      if (next - offset <= mostPadding) continue;
    }
    if (count > 0 && offsets[count - 1] === offset) count--;
    if (count > 0 && rules[count - 1] === rule) continue;
    offsets[count] = offset;
    rules[count++] = rule;
  }
  const pages = count === 0 ? 0 : Math.floor(offsets[count - 1] / 2 ** pageBits) + 1;
  const directoryBlocks = Math.max(1, Math.ceil(pages / entriesPerBlock));
  const worst = directoryBlocks + pages + Math.ceil(2 * (count + pages) / rowsPerBlock) + 1;
  const blocks = new Uint32Array(worst * blockWords);
  let block = directoryBlocks;
  let used = 0;
  let row = 0;
  let holds = 0;
  let cut = 0;
  let total = 0;
  for (let page = 0; page < pages; page++) {
    const pageEnd = (page + 1) * 2 ** pageBits;
    let last = row;
    while (last < count && offsets[last] < pageEnd) last++;
    const lead = row < last && offsets[row] === page * 2 ** pageBits ? 0 : 1;
    let rows = last - row + lead;
    if (rows > rowsPerBlock) {
      cut += rows - rowsPerBlock;
      rows = rowsPerBlock;
    }
    if (lead === 1 && last === row && holds === 0) rows = 0;
    if (used + rows > rowsPerBlock) {
      block++;
      used = 0;
    }
    const entry = page * (directoryBytes / 4);
    blocks[entry] = block;
    blocks[entry + 1] = used | rows << 16;
    let at = block * blockWords + used;
    if (rows > 0 && lead === 1) blocks[at++] = holds << 16;
    for (let i = row; i < row + rows - lead; i++) blocks[at++] = offsets[i] & pageMask | rules[i] << 16;
    used += rows;
    total += rows;
    if (last > row) holds = rules[last - 1];
    row = last;
  }
  return { blocks: blocks.slice(0, (block + 1) * blockWords), rows: total, cut };
}
var MAGIC = 1415009609;
var FORMAT = 1;
var headWords = 10;
function encodeTable({ rules, blocks, counts }) {
  const words = new Uint32Array(headWords + rules.length + blocks.length);
  words.set(rules, headWords);
  words.set(blocks, headWords + rules.length);
  const bytes = new Uint8Array(words.buffer);
  const sum = crc32(bytes.subarray(4 * headWords));
  const { functions, damaged, unsupported, rows, cutRows } = counts;
  words.set([MAGIC, FORMAT, rules.length, blocks.length, sum, functions, damaged, unsupported, rows, cutRows]);
  return bytes;
}
function decodeTable(bytes) {
  if (bytes.length < 4 * headWords || bytes.length % 4 !== 0) return void 0;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const [magic, format, rules = 0, blocks = 0, sum, functions = 0, damaged = 0, unsupported = 0, rows = 0, cutRows = 0] = words;
  if (magic !== MAGIC || format !== FORMAT || words.length !== headWords + rules + blocks) return void 0;
  if (crc32(aligned.subarray(4 * headWords)) !== sum) return void 0;
  const rest = words.subarray(headWords);
  return {
    rules: new Int32Array(rest.buffer, rest.byteOffset, rules),
    blocks: rest.subarray(rules),
    counts: { functions, damaged, unsupported, rows, cutRows }
  };
}

// ../try.ts
for (const p of process.argv.slice(2)) {
  const f = HostFile.open(p);
  if (!f.ok) throw f.error;
  const e = ElfFile.open(p, f.value);
  if (!e.ok) throw e.error;
  const t0 = performance.now();
  const t = buildTable(e.value);
  if (!t.ok) throw t.error;
  const t1 = performance.now();
  const v = t.value;
  const enc = encodeTable(v);
  const t2 = performance.now();
  decodeTable(enc);
  console.log(p, (t1 - t0).toFixed(0) + "ms", "enc", (t2 - t1).toFixed(0), "dec", (performance.now() - t2).toFixed(0), v.counts, "rules", v.rules.length / 4, "MB", (v.blocks.length * 4 / 1e6).toFixed(2), "rss", (process.resourceUsage().maxRSS / 1024).toFixed(0));
  const bases = {};
  for (let i = 0; i < v.rules.length / 4; i++) {
    const r = readRule(v.rules, i);
    const k = r.kind + ":" + r.base;
    bases[k] = (bases[k] ?? 0) + 1;
  }
  console.log(JSON.stringify(bases));
}
