--- The tokens of Lua code that may end anywhere, and the expressions that they make, read backwards from an end.

local tokens = {}

---@class strata.repl.Token
---@field kind "name"|"keyword"|"number"|"string"|"op"|"open"  open: a string that has no end yet
---@field text string  of a string its content, as it is written
---@field at integer  where it begins; of an open string where its content does
---@field plain? boolean  of an open string: it is no long one

--- Words that cannot be names.
tokens.KEYWORDS = {}
for word in ([[and break do else elseif end false for function if in local nil not or repeat return then true until
  while]]):gmatch("%a+") do
  tokens.KEYWORDS[word] = true
end

-- The end of a quoted string whose content begins at `from`; nil when it has none.
local function quoted_end(text, from, quote)
  local at = from
  while true do
    local found = text:find("[\\" .. quote .. "\n]", at)
    if not found then return nil end
    if text:sub(found, found) ~= "\\" then return found end
    at = found + 2
  end
end

local function long_string(text, at)
  local equals = text:match("^%[(=*)%[", at)
  if not equals then return nil end
  local from = at + #equals + 2
  local stop, last = text:find("]" .. equals .. "]", from, true)
  return from, stop, last
end

-- The token at a place, and where the next one may begin; no token for a comment, and no place when that is open.
local function token_at(text, at)
  local c = text:sub(at, at)
  local word = text:match("^[%a_][%w_]*", at)
  if word then
    return { kind = tokens.KEYWORDS[word] and "keyword" or "name", text = word, at = at }, at + #word
  end
  if text:find("^%-%-", at) then
    local from, _, last = long_string(text, at + 2)
    if not from then last = text:find("\n", at, true) end
    return nil, last and last + 1
  end
  if c == '"' or c == "'" then
    local stop = quoted_end(text, at + 1, c)
    if not stop then return { kind = "open", text = text:sub(at + 1), at = at + 1, plain = true } end
    return { kind = "string", text = text:sub(at + 1, stop - 1), at = at }, stop + 1
  end
  local from, stop, last = long_string(text, at)
  if from and not stop then return { kind = "open", text = text:sub(from), at = from } end
  if from then return { kind = "string", text = text:sub(from, stop - 1), at = at }, last + 1 end
  local number = text:match("^%.?%d[%w.]*", at)
  if number then return { kind = "number", text = number, at = at }, at + #number end
  local op = text:match("^%.%.%.?", at) or text:match("^::", at) or c
  return { kind = "op", text = op, at = at }, at + #op
end

--- Splits code into tokens.
---@param text string
---@return strata.repl.Token[]?  nil when it ends in a comment
function tokens.split(text)
  local list, at = {}, text:match("^%s*()")
  while at <= #text do
    local token, after = token_at(text, at)
    list[#list + 1] = token
    if not after then return token and list end
    at = text:match("^%s*()", after)
  end
  return list
end

local OPENS = { [")"] = "(", ["}"] = "{", ["]"] = "[" }
local CLOSES = { ["("] = ")", ["{"] = "}", ["["] = "]" }

local function is_op(token, text)
  return token ~= nil and token.kind == "op" and token.text == text
end
tokens.is_op = is_op

-- The place of the bracket that the one at a place closes.
local function opening(list, at)
  local depth = 0
  for i = at, 1, -1 do
    if list[i].kind == "op" then
      if OPENS[list[i].text] then depth = depth + 1 end
      if CLOSES[list[i].text] then depth = depth - 1 end
      if depth == 0 then return i end
    end
  end
end

--- The innermost bracket that is open before a token.
---@param list strata.repl.Token[]
---@param before integer  the place of a token, or one behind the last
---@return integer? at
---@return integer? commas  behind it
function tokens.enclosing(list, before)
  local i, commas = before - 1, 0
  while i >= 1 do
    local token = list[i]
    if token.kind == "op" and OPENS[token.text] then
      i = opening(list, i)
      if not i then return nil end
    elseif token.kind == "op" and CLOSES[token.text] then
      return i, commas
    elseif is_op(token, ",") then
      commas = commas + 1
    end
    i = i - 1
  end
end

--- Whether an expression that can be indexed or called may end with a token.
---@param token? strata.repl.Token
---@return boolean
function tokens.ends_value(token)
  return token ~= nil and (token.kind == "name" or is_op(token, "]") or is_op(token, ")"))
end

---@alias strata.repl.Step {name?: string, key?: string|number, call?: boolean}  name: of the first step the global's

--- The steps that lead to the value of the expression that ends with a token: a global, fields, indices, calls.
---@param list strata.repl.Token[]
---@param last integer
---@return strata.repl.Step[]?
function tokens.chain(list, last)
  local steps, i = {}, last
  while true do
    local token, before = list[i], list[i - 1]
    local step
    if not token then return nil end
    if token.kind == "name" then
      table.insert(steps, 1, { name = token.text })
      if not (is_op(before, ".") or is_op(before, ":")) then return steps end
      i = i - 2
    elseif token.kind == "string" then
      step, i = { call = true }, i - 1
    elseif token.kind == "op" and OPENS[token.text] then
      local from = opening(list, i)
      if not from then return nil end
      step = { call = true }
      if token.text == "]" then
        local key = list[from + 1]
        if i ~= from + 2 or not (key.kind == "number" or key.kind == "string") then return nil end
        step = { key = key.kind == "number" and tonumber(key.text) or key.text }
      end
      i = from - 1
    else
      return nil
    end
    if step then
      if not tokens.ends_value(list[i]) and not (list[i] and list[i].kind == "string") then return nil end
      table.insert(steps, 1, step)
    end
  end
end

return tokens
