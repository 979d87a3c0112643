--- Removes what the option `paths` names, with spaces between: paths and globs. An image that has nothing of it stays.
return function(img, _, options)
  local paths = {}
  for path in (options.paths or "usr/share/doc usr/share/man"):gmatch("%S+") do paths[#paths + 1] = path end
  return img:remove(paths, { optional = true })
end, { paths = false }
