--- The words of a command line.

local words = {}

--- Ends the program with a message.
---@param text string
function words.die(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  io.stderr:write("fleet: ", text, "\n")
  os.exit(1, true)
end

--- Reads --name VALUE, --flag and other words. The options are those that `defaults` has: one whose default is a
--- number takes a number, one with `false` no value, one with a table any number of values.
---@param given string[]
---@param defaults table<string, any>
---@param usage string
---@return table<string, any> options
---@return string[] others
function words.read(given, defaults, usage)
  local options, others, i = {}, {}, 1
  for name, value in pairs(defaults) do options[name] = type(value) == "table" and {} or value end
  local function wrong(text, ...)
    words.die(text .. "\n" .. usage, ...)
  end
  while given[i] do
    local word, value = given[i]:match("^%-%-([%w-]+)=(.*)$")
    word = word or given[i]:match("^%-%-([%w-]+)$")
    local default = defaults[word]
    if given[i] == "--help" or given[i] == "-h" then
      print(usage)
      os.exit(0)
    elseif not word then
      if given[i]:find("^%-") then wrong("there is no option %s", given[i]) end
      others[#others + 1] = given[i]
    elseif default == nil then
      wrong("there is no option --%s", word)
    elseif default == false then
      if value then wrong("--%s takes no value", word) end
      options[word] = true
    else
      if not value then i, value = i + 1, given[i + 1] end
      if not value then wrong("--%s wants a value", word) end
      if type(default) == "table" then
        table.insert(options[word], value)
      elseif type(default) == "number" then
        local number = tonumber(value)
        if not number or number <= 0 or number == math.huge then
          wrong("--%s wants a number above 0, and not %s", word, value)
        end
        options[word] = number
      else
        options[word] = value
      end
    end
    i = i + 1
  end
  return options, others
end

--- Calls a function. Ctrl-C, of which Lua makes an error, ends the program with a line, and the status that shells
--- have for it.
---@param advice string
---@param fn function
function words.interruptible(advice, fn)
  local function explain(message)
    if tostring(message):find "interrupted!$" then
      io.stderr:write("fleet: interrupted; ", advice, "\n")
      os.exit(130, true)
    end
    return debug.traceback(message, 2)
  end
  local ok, message = xpcall(fn, explain)
  if not ok then error(message, 0) end
end

--- Ends the program with the message of a call that has failed.
---@param value any
---@param message any
function words.check(value, message, ...)
  if value == nil then words.die(tostring(message)) end
  return value, message, ...
end

return words
