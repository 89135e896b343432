/** Returns a function that computes its value at the first call and keeps it. */
export function lazy<Value>(compute: () => Value): () => Value {
  let state: { readonly value: Value } | undefined;
  return () => {
    state ??= { value: compute() };
    return state.value;
  };
}
