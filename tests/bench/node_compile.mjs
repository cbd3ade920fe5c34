// Times V8's compilation: node [V8 flags] node_compile.mjs REPETITIONS MODULE…
// Prints a line of JSON a module: {"path", "ns": [one for each repetition]}, in CPU time of the whole
// process, since V8 hands compilation to other threads in spite of --wasm-num-compilation-tasks=0. V8
// keeps compiled modules by their bytes, so each repetition compiles the module with another custom
// section at its end.
import { readFileSync } from 'node:fs';

const [repetitions, ...paths] = process.argv.slice(2);
for (const path of paths) {
  const wire = readFileSync(path);
  const ns = [];
  for (let i = 0; i < Number(repetitions); ++i) {
    const bytes = new Uint8Array(wire.length + 12);
    bytes.set(wire);
    bytes.set([0, 10, 1, 0x6e], wire.length);
    new DataView(bytes.buffer).setBigUint64(wire.length + 4, process.hrtime.bigint(), true);
    const before = process.cpuUsage();
    new WebAssembly.Module(bytes);
    const used = process.cpuUsage(before);
    ns.push((used.user + used.system) * 1000);
    globalThis.gc?.();
  }
  console.log(JSON.stringify({ path, ns }));
}
