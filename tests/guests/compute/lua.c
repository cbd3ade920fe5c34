// Lua 5.4 runs a script of tables, closures, strings, metatables, sorting and floats. Scale: the
// script's own.
#define kScale 12
#include "lua.h"

#include "bench.h"
#include "lauxlib.h"
#include "lualib.h"

static const char kScript[] =
    "local scale = ...\n"
    "local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end\n"
    "local Point = {} Point.__index = Point\n"
    "Point.__add = function(a, b) return setmetatable({x=a.x+b.x, y=a.y+b.y}, Point) end\n"
    "local total = fib(18 + (scale > 4 and 6 or 0))\n"
    "for round = 1, scale do\n"
    "  local t = {}\n"
    "  local seed = round\n"
    "  for i = 1, 20000 do seed = (seed * 1103515245 + 12345) % 2147483648 t[i] = seed end\n"
    "  table.sort(t)\n"
    "  total = (total + t[1] + t[10000]) % 1000000007\n"
    "  local words = {}\n"
    "  for i = 1, 4000 do local w = ('w%x'):format(t[i] % 997) words[w] = (words[w] or 0) + #w "
    "end\n"
    "  local keys = {} for k in pairs(words) do keys[#keys+1] = k end table.sort(keys)\n"
    "  local joined = table.concat(keys, ' ')\n"
    "  for w in joined:gmatch('w(%x+)') do total = (total + tonumber(w, 16)) % 1000000007 end\n"
    "  total = total + #joined:gsub('w1', 'xyz'):rep(3)\n"
    "  local p = setmetatable({x=0, y=0}, Point)\n"
    "  for i = 1, 20000 do p = p + setmetatable({x=i, y=i*0.5}, Point) end\n"
    "  total = (total + p.x + math.floor(p.y)) % 1000000007\n"
    "  local sieve = {}\n"
    "  for i = 2, 30000 do if not sieve[i] then total = total + i "
    "    for j = i*i, 30000, i do sieve[j] = true end end end\n"
    "  local x, y, vx, vy = 1.0, 0.0, 0.0, 1.0\n"
    "  for i = 1, 30000 do local r = (x*x + y*y) ^ 1.5 vx = vx - 0.001*x/r vy = vy - 0.001*y/r "
    "    x = x + 0.001*vx y = y + 0.001*vy end\n"
    "  total = (total + math.floor(x * 1e6)) % 1000000007\n"
    "end\n"
    "return math.floor(total)\n";

static uint64_t Work(int scale) {
  lua_State* lua = luaL_newstate();
  luaL_requiref(lua, "_G", luaopen_base, 1);
  luaL_requiref(lua, "string", luaopen_string, 1);
  luaL_requiref(lua, "table", luaopen_table, 1);
  luaL_requiref(lua, "math", luaopen_math, 1);
  lua_settop(lua, 0);
  if (luaL_loadstring(lua, kScript) != LUA_OK) {
    abort();
  }
  lua_pushinteger(lua, scale);
  lua_call(lua, 1, 1);
  uint64_t result = (uint64_t)lua_tointeger(lua, -1);
  lua_close(lua);
  return result;
}
