local archive = require "spec.support.archive"
local b = archive.bench()
local function f(n,d) return {name=n,data=d or n} end
local old = b:open({ {entries={f"a"}, gzip=true}, {entries={f"b"}} }, {config={history={{created_by="b1"},{created_by="b2"},{created_by="cmd",empty_layer=true}}}})
local img = b:open({ {entries={f"a"}, gzip=true}, {entries={f"b"}},{entries={f"c"}} }, {config={history={{created_by="b1"},{created_by="b2"},{created_by="cmd",empty_layer=true},{created_by="app"}}}})
local new = b:open({ {entries={f"a2"}, gzip=true}, {entries={f"b2"}},{entries={f"b3"},gzip=true} }, {config={history={{created_by="n1"},{created_by="n2"},{created_by="n3"},{created_by="cmd2",empty_layer=true}}}})
assert(img:rebase(old,new))
new:close()
local look = b:save(img)
for i,r in ipairs(look.history) do print(r.created_by, r.empty_layer) end
for p in pairs(look.merged) do print(p) end
print(img:save(b.dir:file"x.oci",{format="oci"}))
local strata=require"strata"
for i,l in ipairs(strata.plan(img,{level=9}).layers) do print(l.action,l.digest,l.diff_id,l.size) end
local r = assert(img:save(b.dir:file"y.tar",{level=9}))
for i,l in ipairs(r.layers) do print(l.action,l.digest,l.diff_id,l.size) end
img:squash(1,3)
for i,l in ipairs(strata.plan(img,{level=9}).layers) do print(l.action,l.digest,l.diff_id,l.size) end
local r = assert(img:save(b.dir:file"z.tar",{level=9}))
for i,l in ipairs(r.layers) do print(l.action,l.digest,l.diff_id,l.size) end
print(b:load(b.dir:file"z.tar"):verify())
b:close()
