--- Puts what an image adds to the base `from` onto the base `to`. Both are references; the queue keeps their digests.
return function(img, _, options, open)
  local from, to, message, code
  from, message, code = open(options.from)
  if not from then return nil, message, code end
  to, message, code = open(options.to)
  if not to then return nil, message, code end
  return img:rebase(from, to, { config = "inherit" })
end, { from = true, to = true }
