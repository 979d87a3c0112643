--- The one way to report a mistake in the caller's script: an error with the place where the script makes it.

--- Throws.
---@param level integer  as error() takes it, seen from the caller of this function; 0: the message alone
---@param fmt string  as string.format takes it
---@param ... any
return function(level, fmt, ...)
  error(fmt:format(...), level > 0 and level + 1 or 0)
end
