local archive = require "spec.support.archive"
local model = require "spec.support.model"
local stacks = require "spec.support.stacks"
local b = archive.bench()
local function f(n,d,m,more) local e={name=n,data=d or n,mode=m, mtime=1000000000+(m or 0)} return e end
local img = b:open({ {entries={{name="d",type="dir"},f("d/a"),f("d/b")}, gzip=true}, {entries={{name="d",type="dir",uid=7},f("d/a",nil,448),f("d/b",nil,2541)}} })
print(img:fold{prune=true})
local l = b:save(img)
for _,layer in ipairs(l.layers) do for _,e in ipairs(layer.entries) do print(e.name,e.mode,e.mtime,e.uid) end end
b:close()
