--- Tells where two images differ, for people and for CI: lua5.4 examples/diff.lua [OPTION ...] IMAGE IMAGE
--
-- An image is a path or a reference such as docker://host/app:1.4. Options: --semantic passes over what a rebuild
-- changes by itself, --html writes a page, --quiet writes nothing, --exclude PATH leaves a path out (again for more).
-- Exit status: 0 nothing differs, 1 something does, 2 it cannot be told.

local strata = require "strata"

local function stop(message)
  io.stderr:write(message, "\n")
  os.exit(2)
end

local opts, images, quiet, html = {}, {}, false, false
local given, i = { ... }, 1
while given[i] do
  local word = given[i]
  if word == "--semantic" then opts.semantic = true
  elseif word == "--html" then html = true
  elseif word == "--quiet" then quiet = true
  elseif word == "--exclude" then
    i = i + 1
    opts.exclude = opts.exclude or {}
    table.insert(opts.exclude, given[i] or stop("--exclude: a path is wanted"))
  elseif word:find("^%-%-") then stop("there is no option " .. word)
  else images[#images + 1] = word end
  i = i + 1
end
if #images ~= 2 then stop("usage: diff.lua [--semantic] [--html] [--quiet] [--exclude PATH] IMAGE IMAGE") end

local called, diff, message = pcall(strata.diff, images[1], images[2], opts)
if not called then stop(diff) end
if not diff then stop(message) end

local is_terminal = os.execute("test -t 1")
local color = (is_terminal == true or is_terminal == 0) and not os.getenv "NO_COLOR" -- 0: of Lua 5.1
if not quiet then print(strata.diff_report(diff, { format = html and "html" or "text", color = color })) end
os.exit(diff.equal and 0 or 1)
