// Runs a WASI preview 1 program under Node, for measuring:
//   node node_wasi.mjs [--dir HOST::GUEST]… [--env K=V]… PROGRAM.wasm [ARGUMENT…]
// Exit code: the program's own, 134 after a trap.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const preopens = {};
const env = {};
while (args[0] === '--dir' || args[0] === '--env') {
  const [option, value] = args.splice(0, 2);
  const [left, right] = value.split(option === '--dir' ? '::' : /=(.*)/s);
  (option === '--dir' ? (preopens[right] = left) : (env[left] = right));
}
const path = args.shift();
const wasi = new WASI({
  version: 'preview1', args: [basename(path), ...args], env, preopens, returnOnExit: true,
});
const module = new WebAssembly.Module(readFileSync(path));
const instance = new WebAssembly.Instance(module, wasi.getImportObject());
try {
  process.exitCode = wasi.start(instance);
} catch (error) {
  if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
  console.error(`node_wasi: ${error.message}`);
  process.exitCode = 134;
}
