--- The three results of a function that has failed: nil, a message, and a code.

---@param code string  "ENOENT" ...
---@param fmt string
---@param ... any  for the format
---@return nil
---@return string message
---@return string code
return function(code, fmt, ...)
  return nil, fmt:format(...), code
end
