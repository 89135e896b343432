// The library of late.c.
extern "C" void throws() { throw 7; }
extern "C" int catches(int (*call)(int), int n) {
  try {
    return call(n);
  } catch (int thrown) {
    return thrown;
  }
}
