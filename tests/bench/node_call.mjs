// node node_call.mjs CALL.wasm SAMPLES: what V8 takes to call wasm from JavaScript.
// Prints flat JSON, nanoseconds: the minimum under the plain key, the median under X_median_ns. The loop
// stands in JavaScript; V8 may inline what it calls, and does.
import { readFileSync } from 'node:fs';

const [path, samples] = process.argv.slice(2);
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)), { env: { nop() {} } });

function nops(count) {
  for (let i = 0; i < count; ++i) exports.nop();
}
function adds(count) {
  let sum = 0;
  for (let i = 0; i < count; ++i) sum = exports.add(sum, i);
  return sum;
}
function traps(count) {
  let caught = 0;
  for (let i = 0; i < count; ++i) {
    try {
      exports.trap();
    } catch {
      ++caught;
    }
  }
  if (caught !== count) throw new Error('no trap');
}

const figures = {};
function measure(key, run, count) {
  for (let i = 0; i < 5; ++i) run(count); // Until it is optimised.
  const ns = [];
  for (let i = 0; i < Number(samples); ++i) {
    const start = process.hrtime.bigint();
    run(count);
    ns.push(Number(process.hrtime.bigint() - start) / count);
  }
  ns.sort((a, b) => a - b);
  figures[`${key}_ns`] = ns[0];
  figures[`${key}_median_ns`] = ns[ns.length >> 1];
}
measure('node_typed_nop', nops, 1_000_000);
measure('node_typed_add', adds, 1_000_000);
measure('node_trap', traps, 5_000);
console.log(JSON.stringify(figures));
