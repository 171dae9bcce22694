-- Writes the rows of row.py with lua-cjson: one file each in the folder named by the argument.
local cjson = require "cjson"
local function lines(name, of)
  local file = assert(io.open(arg[1] .. "/" .. name .. ".jsonl", "w"))
  for k = 0, 59 do
    local infinity = k % 2 == 1 and math.huge or -math.huge
    local row = { i = k % 5 == 2 and infinity or k % 11, n = k % 3 == 1 and 0 / 0 or k % 7, x = k % 50 / 8, y = k % 5 + k % 50 / 8 }
    row.m = k % 4 == 3 and cjson.null or k % 13
    file:write(of.encode(row), "\n")
  end
  file:close()
end
local bare, null = cjson.new(), cjson.new()
bare.encode_invalid_numbers(true)
lines("rows/lua_cjson", bare)
null.encode_invalid_numbers("null")
lines("rows/lua_cjson_null", null)
