--- Sets labels: every option is one. An empty value removes it where it is there.
return function(img, _, options)
  for name, value in pairs(options) do
    if value ~= "" then
      img.config:set_label(name, value)
    else
      local ok, message, code = img.config:remove_label(name)
      if not ok and code ~= "ENOENT" then return nil, message, code end
    end
  end
end
