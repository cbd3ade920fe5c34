// QuickJS runs a script of objects, closures, typed arrays, regular expressions, JSON and floats.
// Scale: the script's own.
#define kScale 8
#include "quickjs.h"

#include "bench.h"

static const char kScript[] =
    "(function(scale) {\n"
    "function fib(n) { return n < 2 ? n : fib(n-1) + fib(n-2); }\n"
    "class Vec { constructor(x, y) { this.x = x; this.y = y; }\n"
    "  add(o) { return new Vec(this.x + o.x, this.y + o.y); } }\n"
    "let total = fib(scale > 4 ? 22 : 16);\n"
    "for (let round = 1; round <= scale; round++) {\n"
    "  let seed = round, list = [];\n"
    "  for (let i = 0; i < 10000; i++) { seed = (Math.imul(seed, 1103515245) + 12345) >>> 1; "
    "    list.push(seed); }\n"
    "  list.sort((a, b) => a - b);\n"
    "  total = (total + list[0] + list[5000]) % 1000000007;\n"
    "  const words = new Map();\n"
    "  for (let i = 0; i < 4000; i++) { const w = 'w' + (list[i] % 997).toString(16); "
    "    words.set(w, (words.get(w) || 0) + 1); }\n"
    "  const joined = [...words.keys()].sort().join(' ');\n"
    "  for (const m of joined.matchAll(/w([0-9a-f]+)/g)) total = (total + parseInt(m[1], 16)) % "
    "    1000000007;\n"
    "  const copy = JSON.parse(JSON.stringify({list: list.slice(0, 500), joined}));\n"
    "  total += copy.list.length + copy.joined.replace(/1./g, 'xyz').length;\n"
    "  let v = new Vec(0, 0);\n"
    "  for (let i = 0; i < 10000; i++) v = v.add(new Vec(i, i / 2));\n"
    "  total = (total + v.x + Math.floor(v.y)) % 1000000007;\n"
    "  const sieve = new Uint8Array(30001);\n"
    "  for (let i = 2; i <= 30000; i++) if (!sieve[i]) { total += i; "
    "    for (let j = i * i; j <= 30000; j += i) sieve[j] = 1; }\n"
    "  let x = 1, y = 0, vx = 0, vy = 1;\n"
    "  for (let i = 0; i < 20000; i++) { const r = Math.sqrt(x*x + y*y), k = 0.001 / (r*r*r); "
    "    vx -= k*x; vy -= k*y; x += 0.001*vx; y += 0.001*vy; }\n"
    "  total = (total + Math.floor(x * 1e6)) % 1000000007;\n"
    "  total = (total + list.map(a => a & 255).filter(a => a & 1).reduce((a, b) => a + b, 0)) % "
    "    1000000007;\n"
    "}\n"
    "return Math.floor(total);\n"
    "})";

static uint64_t Work(int scale) {
  JSRuntime* runtime = JS_NewRuntime();
  JSContext* context = JS_NewContext(runtime);
  JSValue function = JS_Eval(context, kScript, sizeof kScript - 1, "script", JS_EVAL_TYPE_GLOBAL);
  JSValue argument = JS_NewInt32(context, scale);
  JSValue result = JS_Call(context, function, JS_UNDEFINED, 1, &argument);
  double number = 0;
  if (JS_IsException(result) || JS_ToFloat64(context, &number, result) != 0) {
    fprintf(stderr, "quickjs: the script failed\n");
    abort();
  }
  JS_FreeValue(context, function);
  JS_FreeValue(context, result);
  JS_FreeContext(context);
  JS_FreeRuntime(runtime);
  return (uint64_t)number;
}
