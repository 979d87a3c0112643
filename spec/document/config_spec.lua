local cjson = require "cjson"
local config = require "strata.config"
local json = require "strata.util.json"
local shell = require "spec.support.shell"

local DIGEST = "sha256:" .. ("0123456789abcdef"):rep(4)
local ROOTFS = '"rootfs":{"type":"layers","diff_ids":["' .. DIGEST .. '"]}'

-- As Docker writes one: unusual spellings are here to be kept.
local TEXT = '{"architecture":"amd64","config":{"Hostname":"","Env":["PATH=/usr/bin:/bin","A=1","B=","A=2"],'
  .. '"Cmd":["/bin/sh","-c","a \\u0026\\u0026 b"],"Image":"","Volumes":null,"WorkingDir":"\\/srv",'
  .. '"Entrypoint":null,"OnBuild":[],"Labels":{"z":"26","a":"1"}},"created":"2024-05-06T07:08:09.123456789Z",'
  .. '"big":12345678901234567890,"os":"linux","os.version":"10.0", ' .. ROOTFS .. '}\n'

local function load_config(text)
  local edits = 0
  local cfg = assert(config.new(text or TEXT, { changed = function() edits = edits + 1 end }))
  return cfg, function() return edits end
end

-- The text after one span of TEXT was replaced by another.
local function with(old, new, text)
  text = text or TEXT
  local first, last = text:find(old, 1, true)
  assert(first and not text:find(old, last + 1, true), "the span must be there once")
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

describe("a config's document", function()
  local function problem(text)
    local cfg, message, code = config.new(text)
    assert.is_nil(cfg)
    return message, code
  end

  it("keeps its bytes", function()
    local cfg, edits = load_config()
    assert.equal(TEXT, cfg:text())
    assert.equal(0, edits())
  end)

  it("must be valid JSON", function()
    local message, code = problem '{"a":1,"a":2}'
    assert.equal("EFORMAT", code)
    assert.truthy(message:find("duplicate name", 1, true))
  end)

  it("must be what an image needs", function()
    for text, wanted in pairs {
      ["[]"] = "no JSON object", ["{}"] = "no rootfs", ['{"rootfs":null}'] = "no rootfs",
      ['{"rootfs":{"type":"x","diff_ids":[]}}'] = "rootfs.type",
      ['{"rootfs":{"type":"layers","diff_ids":{}}}'] = "diff_ids",
      ['{"a":1,"A":2,' .. ROOTFS .. '}'] = "case",
      ['{"rootfs":{"type":"layers","diff_ids":["' .. DIGEST .. '","' .. DIGEST:upper() .. '"]}}'] = "element 2",
      ['{"rootfs":{"type":"layers","diff_ids":[5]}}'] = "element 1",
      ['{"history":{},' .. ROOTFS .. '}'] = "history",
      ['{"history":[{},1],' .. ROOTFS .. '}'] = "row 2",
      ['{"config":[],' .. ROOTFS .. '}'] = "'config'",
    } do
      local message, code = problem(text)
      assert.equal("EFORMAT", code)
      assert.truthy(message:find(wanted, 1, true), text .. ": " .. message)
    end
  end)

  it("may lack what is optional, or have it null", function()
    for _, text in ipairs { "{" .. ROOTFS .. "}", '{"config":null,"history":null,' .. ROOTFS .. "}",
        '{"rootfs":{"type":"layers"}}', '{"rootfs":{"type":"layers","diff_ids":null}}' } do
      local cfg = load_config(text)
      assert.is_nil(cfg.Env)
      assert.is_nil(cfg.history)
      assert.is_nil(cfg:get_env "A")
      assert.is_nil(cfg:get_label "a")
    end
  end)

  it("obeys the limits it is given", function()
    assert.equal("ELIMIT", select(3, config.new(TEXT, { limits = { max_bytes = 100 } })))
  end)
end)

describe("reading a config", function()
  it("takes capitalised names from the config object and others from the top", function()
    local cfg = load_config()
    assert.same({ "PATH=/usr/bin:/bin", "A=1", "B=", "A=2" }, cfg.Env)
    assert.equal("/srv", cfg.WorkingDir)
    assert.equal("amd64", cfg.architecture)
    assert.equal("10.0", cfg["os.version"])
    assert.equal("a && b", cfg.Cmd[3])
    assert.equal("layers", cfg.rootfs.type)
    assert.equal("", cfg.Hostname)
  end)

  it("gives nil for what is null or absent", function()
    local cfg = load_config()
    assert.is_nil(cfg.Entrypoint)
    assert.is_nil(cfg.StopTimeout)
    assert.is_nil(cfg.comment)
    assert.is_nil(cfg:get "/config/Env/9")
    assert.is_nil(cfg:get "/config/Volumes")
  end)

  it("throws for a field that there is not, and names the likely one", function()
    local cfg = load_config()
    assert.error_matches(function() return cfg.entrypoint end, "no field 'entrypoint': did you mean 'Entrypoint'%?")
    assert.error_matches(function() cfg.Entrypont = { "x" } end, "did you mean 'Entrypoint'%?.*config:set")
    assert.error_matches(function() return cfg.nothing end, "no field 'nothing'")
    assert.error_matches(function() return cfg[1] end, "no field '1'")
    assert.equal(TEXT, cfg:text())
    cfg:set("/config/my-key", "x")
    assert.is_nil(cfg:get "/config/nothing")
    cfg:set("/nothing", { 1 })
    assert.same({ 1 }, cfg.nothing)
    cfg.nothing = "y"
    assert.equal("y", cfg:get "/nothing")
  end)

  it("gives copies, which refuse to be changed", function()
    local cfg = load_config()
    assert.error_matches(function() cfg.Env[#cfg.Env + 1] = "A=1" end, "config.Env cannot be changed .*set_env")
    assert.error_matches(function() cfg.Labels.x = "1" end, "set_label")
    cfg.Env[1] = "PATH="
    assert.error_matches(function() return cfg:text() end, "config.Env cannot be changed")
    cfg:totable().os = "plan9"
    assert.equal("PATH=/usr/bin:/bin", cfg.Env[1])
    assert.equal(TEXT, cfg:text())
  end)

  it("takes a copy back that was changed", function()
    local cfg = load_config()
    local env = cfg.Env
    env[1] = "PATH=/x"
    cfg.Env = env
    assert.equal("/x", cfg:get_env "PATH")
    env = cfg:get "/config/Env"
    env[#env + 1] = "A=1"
    cfg.Env = env
    assert.equal("1", cfg:get_env "A")
  end)

  it("goes by pointers too", function()
    local cfg = load_config()
    assert.equal("A=1", cfg:get "/config/Env/1")
    assert.same({ z = "26", a = "1" }, cfg:get "/config/Labels")
  end)

  it("gives plain tables as cjson reads them", function()
    assert.same(cjson.decode(TEXT), load_config():totable())
  end)

  it("iterates in the order of the document", function()
    local cfg = load_config()
    local function pairs_of(key)
      local found = {}
      for name, value in cfg:each(key) do found[#found + 1] = { name, value } end
      return found
    end
    assert.same({ { "z", "26" }, { "a", "1" } }, pairs_of "Labels")
    assert.same({ { "PATH", "/usr/bin:/bin" }, { "A", "1" }, { "B", "" }, { "A", "2" } }, pairs_of "Env")
    assert.same({ { 1, "/bin/sh" }, { 2, "-c" }, { 3, "a && b" } }, pairs_of "Cmd")
    assert.same({}, pairs_of "Volumes")
    assert.same({}, pairs_of "Nothing")
    assert.error_matches(function() cfg:each "os" end, "config.os is a string")
  end)

  it("says in one line what it is", function()
    local line = tostring(load_config())
    assert.equal(("strata.Config(linux/amd64, %d bytes)"):format(#TEXT), line)
    local odd = '{"architecture":"\\u001b[2J",' .. ROOTFS .. "}"
    assert.equal(("strata.Config(?/?[2J, %d bytes)"):format(#odd), tostring((load_config(odd))))
  end)
end)

describe("assigning to a config", function()
  it("changes the span and nothing else", function()
    for _, case in ipairs {
      { "architecture", "arm64", '"amd64"', '"arm64"' },
      { "WorkingDir", "/x", '"\\/srv"', '"/x"' },
      { "Cmd", { "<", "b" }, '["/bin/sh","-c","a \\u0026\\u0026 b"]', '["\\u003c","b"]' },
      { "Labels", { b = "2", a = "1" }, '{"z":"26","a":"1"}', '{"a":"1","b":"2"}' },
      { "created", "1970-01-01T00:00:00Z", '"2024-05-06T07:08:09.123456789Z"', '"1970-01-01T00:00:00Z"' },
      { "Entrypoint", { "/x" }, '"Entrypoint":null', '"Entrypoint":["/x"]' },
      { "os", json.null, '"linux"', "null" },
      { "User", "1000", '{"z":"26","a":"1"}}', '{"z":"26","a":"1"},"User":"1000"}' },
      { "variant", "v8", ROOTFS, ROOTFS .. ', "variant":"v8"' },
    } do
      local cfg, edits = load_config()
      cfg[case[1]] = case[2]
      assert.equal(with(case[3], case[4]), cfg:text())
      assert.equal(1, edits())
    end
  end)

  it("deletes with nil", function()
    for key, span in pairs { Hostname = '"Hostname":"",', Cmd = ',"Cmd":["/bin/sh","-c","a \\u0026\\u0026 b"]',
        Labels = ',"Labels":{"z":"26","a":"1"}', architecture = '"architecture":"amd64",',
        ["os.version"] = ',"os.version":"10.0"' } do
      local cfg = load_config()
      cfg[key] = nil
      assert.equal(with(span, ""), cfg:text())
    end
    local cfg, edits = load_config()
    cfg.StopTimeout = nil
    assert.equal(TEXT, cfg:text())
    assert.equal(0, edits())
  end)

  it("changes no byte when the meaning is the same", function()
    local cfg, edits = load_config()
    for _, key in ipairs { "Env", "Cmd", "Labels", "WorkingDir", "OnBuild", "architecture", "created", "Hostname" } do
      cfg[key] = cfg[key]
    end
    cfg.Labels = { a = "1", z = "26" }
    cfg.Entrypoint = json.null
    cfg.OnBuild = {}
    assert.equal(TEXT, cfg:text())
    assert.equal(0, edits())
  end)

  it("takes nil and null for the same, but deletes a null by pointer", function()
    local cfg, edits = load_config()
    cfg.Entrypoint = nil
    assert.equal(TEXT, cfg:text())
    assert.equal(0, edits())
    cfg:set("/config/Entrypoint", nil)
    assert.equal(with('"Entrypoint":null,', ""), cfg:text())
  end)

  it("tells a big number from the one it would be rounded to", function()
    local cfg = load_config()
    cfg.big = 2 ^ 53
    assert.equal(2 ^ 53, cfg.big)
  end)

  it("keeps empty tables what they are", function()
    local cfg = load_config()
    for key, text in pairs { Env = "[]", Cmd = "[]", Entrypoint = "[]", OnBuild = "[]", Shell = "[]",
        Labels = "{}", ExposedPorts = "{}", Volumes = "{}", Healthcheck = "{}" } do
      cfg[key] = {}
      assert.equal(text, cfg:text():match('"' .. key .. '":([%[{][%]}])'), key)
    end
    cfg.Healthcheck = { Test = {} }
    assert.truthy(cfg:text():find('"Healthcheck":{"Test":[]}', 1, true))
  end)

  it("asks what an empty table is where nothing is known", function()
    local cfg = load_config()
    assert.error_matches(function() cfg:set("/config/Unknown", {}) end, "config.Unknown: an empty table")
    cfg:set("/config/Unknown", json.array {})
    assert.truthy(cfg:text():find('"Unknown":[]', 1, true))
    cfg.Unknown = {}
    assert.truthy(cfg:text():find('"Unknown":[]', 1, true))
  end)

  it("takes ports and volumes as a list", function()
    local cfg = load_config()
    cfg.ExposedPorts = { "80/tcp", "443/tcp" }
    cfg.Volumes = { "/data" }
    assert.truthy(cfg:text():find('"ExposedPorts":{"443/tcp":{},"80/tcp":{}}', 1, true))
    assert.truthy(cfg:text():find('"Volumes":{"/data":{}}', 1, true))
  end)

  it("makes the config object where it is missing or null", function()
    local cfg = load_config("{" .. ROOTFS .. "}")
    cfg.Cmd = { "x" }
    assert.equal("{" .. ROOTFS .. ',"config":{"Cmd":["x"]}}', cfg:text())
    cfg = load_config('{"config":null,' .. ROOTFS .. "}")
    cfg.User = nil
    assert.equal('{"config":null,' .. ROOTFS .. "}", cfg:text())
    cfg:set_label("a/b~c", "<")
    assert.equal('{"config":{"Labels":{"a/b~c":"\\u003c"}},' .. ROOTFS .. "}", cfg:text())
  end)

  it("copies the indentation", function()
    local text = '{\n  "config": {\n    "Env": [\n      "A=1"\n    ]\n  },\n  ' .. ROOTFS .. "\n}\n"
    local cfg = load_config(text)
    cfg:set_env("B", "2"):set_label("x", "1")
    assert.equal(with('      "A=1"\n    ]\n', '      "A=1",\n      "B=2"\n    ],\n'
      .. '    "Labels": {\n      "x": "1"\n    }\n', text), cfg:text())
  end)

  it("refuses a wrong type and says which is right", function()
    local cfg = load_config()
    for _, case in ipairs {
      { "Env", { A = "1" }, "set_env" }, { "Cmd", "/bin/sh", "array of strings" },
      { "Cmd", { 1 }, "must be a string" }, { "Labels", { "a" }, "must be an object" },
      { "Labels", { a = 1 }, "must be a string" }, { "User", 0, "must be a string" },
      { "created", "yesterday", "must be a time" }, { "Volumes", { ["/a"] = true }, "must be a table" },
      { "Memory", print, "no JSON value" }, { "Memory", { 1, nil, 3 }, "holes" }, { "Memory", 0 / 0, "NaN" },
      { "Memory", "\255", "is not UTF%-8" }, { "history", { 1 }, "must be a table" }, { "set", 1, "cannot assign" },
    } do
      assert.error_matches(function() cfg[case[1]] = case[2] end, case[3])
    end
    assert.error(function() cfg[1] = "x" end)
    assert.equal(TEXT, cfg:text())
  end)

  it("points at the line of the mistake", function()
    local cfg = load_config()
    local _, message = pcall(function() cfg.User = 0 end)
    assert.truthy(message:find("config_spec.lua:%d+: config.User: must be a string"))
  end)

  it("protects what follows from the layers", function()
    local cfg = load_config()
    assert.error_matches(function() cfg.rootfs = { type = "layers" } end, "follows from the layers")
    assert.error_matches(function() cfg.rootfs = nil end, "follows from the layers")
    assert.error_matches(function() cfg:set("/diff_ids", {}) end, "follows from the layers")
    assert.error_matches(function() cfg:set("/rootfs/diff_ids/0", DIGEST) end, "follows from the layers")
    assert.error_matches(function() cfg:set("", {}) end, "as a whole")
    assert.equal(DIGEST, cfg:get "/rootfs/diff_ids/0")
    cfg:set("/rootfs_note", "x")
    assert.equal("x", cfg.rootfs_note)
  end)
end)

describe("setting by pointer", function()
  it("sets, appends and deletes", function()
    local cfg = load_config()
    assert.equal(cfg, cfg:set("/config/Env/0", "PATH=/bin"):set("/config/Env/-", "C=3"):set("/config/Env/1", nil))
    assert.same({ "PATH=/bin", "B=", "A=2", "C=3" }, cfg.Env)
  end)

  it("makes parents, also in the place of null", function()
    local cfg = load_config()
    cfg:set("/config/Volumes/~1data/x", 1)
    assert.truthy(cfg:text():find('"Volumes":{"/data":{"x":1}}', 1, true))
  end)

  it("says when there is no such place", function()
    local cfg = load_config()
    local ok, message, code = cfg:set("/config/Env/9", "x")
    assert.is_nil(ok)
    assert.is_string(message)
    assert.equal("ENOENT", code)
    assert.equal("ENOENT", select(3, cfg:set("/os/x", 1)))
  end)

  it("throws for what is no pointer", function()
    local cfg = load_config()
    for _, pointer in ipairs { "config", "/~", "/a~2", 5 } do
      assert.error_matches(function() cfg:get(pointer) end, "no JSON pointer")
      assert.error_matches(function() cfg:set(pointer, 1) end, "no JSON pointer")
    end
  end)
end)

describe("the environment", function()
  it("is read as a container would see it", function()
    local cfg = load_config()
    assert.equal("2", cfg:get_env "A")
    assert.equal("", cfg:get_env "B")
    assert.equal("/usr/bin:/bin", cfg:get_env "PATH")
    assert.is_nil(cfg:get_env "PAT")
    assert.is_nil(cfg:get_env "a")
  end)

  it("is set in place, where it counts", function()
    local cfg = load_config()
    assert.equal(cfg, cfg:set_env("A", "3"))
    assert.equal(with('"A=2"', '"A=3"'), cfg:text())
    assert.equal("3", cfg:get_env "A")
  end)

  it("grows at the end", function()
    local cfg = load_config()
    cfg:set_env("C", "x=y"):set_env("D", ""):set_env("PORT", 8080)
    assert.equal(with('"A=2"', '"A=2","C=x=y","D=","PORT=8080"'), cfg:text())
    assert.equal("x=y", cfg:get_env "C")
    assert.equal("", cfg:get_env "D")
  end)

  it("stays as it is when nothing changes", function()
    local cfg, edits = load_config()
    cfg:set_env("A", "2"):set_env("B", ""):remove_env("C")
    assert.equal(TEXT, cfg:text())
    assert.equal(0, edits())
  end)

  it("loses every occurrence of a variable", function()
    local cfg, edits = load_config()
    cfg:remove_env "A"
    assert.equal(with('"A=1","B=","A=2"', '"B="'), cfg:text())
    assert.equal(1, edits())
    cfg:remove_env("PATH"):remove_env("B")
    assert.same({}, cfg.Env)
    assert.truthy(cfg:text():find('"Env":[]', 1, true))
  end)

  it("is made where there is none", function()
    for _, env in ipairs { "", '"Env":null', '"Env":[]' } do
      local cfg = load_config('{"config":{' .. env .. "}," .. ROOTFS .. "}")
      cfg:set_env("A", "1")
      assert.equal('{"config":{"Env":["A=1"]},' .. ROOTFS .. "}", cfg:text())
    end
  end)

  it("has names and values that can be passed on", function()
    local cfg = load_config()
    for _, name in ipairs { "", "A=B", "A\0", 5 } do
      assert.error(function() cfg:set_env(name, "x") end)
      assert.error(function() cfg:get_env(name) end)
      assert.error(function() cfg:remove_env(name) end)
    end
    assert.error_matches(function() cfg:set_env("A", nil) end, "must be a string")
    assert.error_matches(function() cfg:set_env("A", "\0") end, "NUL")
    assert.equal("EFORMAT", select(3, cfg:set_env("A", "\255")))
  end)

  it("takes out many variables at once, and not one after the other", function()
    local list = {}
    for i = 1, 100000 do list[i] = '"A=' .. i .. '"' end
    local cfg = load_config('{"config":{"Env":["B=",' .. table.concat(list, ",") .. "]}," .. ROOTFS .. "}")
    cfg:remove_env "A"
    assert.same({ "B=" }, cfg.Env)
  end)

  it("is an error when it is no array", function()
    local cfg = load_config('{"config":{"Env":{}},' .. ROOTFS .. "}")
    assert.equal("EFORMAT", select(3, cfg:set_env("A", "1")))
    assert.equal("EFORMAT", select(3, cfg:remove_env("A")))
    assert.equal("EFORMAT", select(3, cfg:get_env("A")))
  end)
end)

describe("labels, ports and volumes", function()
  it("sets and removes a label by its span", function()
    local cfg, edits = load_config()
    assert.equal("26", cfg:get_label "z")
    assert.equal(cfg, cfg:set_label("z", "26"))
    assert.equal(0, edits())
    cfg:set_label("z", "<27>")
    assert.equal(with('"26"', '"\\u003c27\\u003e"'), cfg:text())
    cfg:remove_label "z":remove_label "zz"
    assert.equal(with('"z":"26",', ""), cfg:text())
    cfg:remove_label "a"
    assert.equal(with('"z":"26","a":"1"', ""), cfg:text())
  end)

  it("takes label names that a pointer must escape", function()
    local cfg = load_config()
    cfg:set_label("org.x/y~z", "1")
    assert.equal(with('"a":"1"', '"a":"1","org.x/y~z":"1"'), cfg:text())
    assert.equal("1", cfg:get_label "org.x/y~z")
  end)

  it("normalises ports", function()
    local cfg = load_config()
    cfg:add_port("8080"):add_port(8080):add_port("8080/TCP"):add_port("53/udp")
    assert.truthy(cfg:text():find('"ExposedPorts":{"8080/tcp":{},"53/udp":{}}', 1, true))
    cfg:remove_port(8080)
    assert.truthy(cfg:text():find('"ExposedPorts":{"53/udp":{}}', 1, true))
    cfg:remove_port "53/udp":remove_port "53/udp"
    assert.truthy(cfg:text():find('"ExposedPorts":{}', 1, true))
  end)

  it("removes a port that was declared without its protocol", function()
    local cfg = load_config('{"config":{"ExposedPorts":{"80":{}}},' .. ROOTFS .. "}")
    cfg:remove_port(80)
    assert.equal('{"config":{"ExposedPorts":{}},' .. ROOTFS .. "}", cfg:text())
  end)

  it("refuses what is no port", function()
    local cfg = load_config()
    for _, port in ipairs { "", 0, 65536, "80/", "80/icmp", "tcp", "-1", 80.5, " 80", "80/tcp/udp", true } do
      assert.error_matches(function() cfg:add_port(port) end, "is no port")
    end
  end)

  it("declares volumes", function()
    local cfg = load_config()
    cfg:add_volume("/data"):add_volume("/data"):add_volume("/a b")
    assert.equal(with('"Volumes":null', '"Volumes":{"/data":{},"/a b":{}}'), cfg:text())
    cfg:remove_volume("/data"):remove_volume("/a b")
    assert.equal(with('"Volumes":null', '"Volumes":{}'), cfg:text())
    assert.error_matches(function() cfg:add_volume "data" end, "no absolute path")
  end)
end)

describe("a Config", function()
  it("knows itself", function()
    assert.is_true(config.is(load_config()))
    assert.is_false(config.is {})
    assert.is_false(config.is(io.stdout))
  end)

  it("is no place for methods called with a dot", function()
    local cfg = load_config()
    assert.error_matches(function() cfg.text() end, "strata.Config expected")
    assert.error_matches(function() cfg.get("/os") end, "strata.Config expected")
  end)
end)

describe("configs of real images", function()
  local corpus = os.getenv "STRATA_CORPUS"

  -- The configs among the blobs of the layouts and archives in the corpus.
  local function each_config(visit)
    local found = 0
    local list = io.popen("cd " .. shell.quote(corpus) .. [[/images && {
      find . -type f -path '*/blobs/sha256/*' -size -64k
      for tar in *.tar; do tar -tf "$tar" 2>/dev/null | grep -E '(\.json|[0-9a-f]{64})$' | sed "s|^|$tar |"; done
    }]])
    for line in list:lines() do
      local tar, member = line:match("^(%S+%.tar) (.*)$")
      local path = corpus .. "/images/" .. (tar or line)
      local pipe = io.popen(tar and "tar -xOf " .. shell.quote(path) .. " " .. shell.quote(member) .. " 2>/dev/null"
        or "cat " .. shell.quote(path))
      local text = pipe:read(65536) or ""
      pipe:close()
      if text:find("^%s*{") and text:find('"diff_ids"', 1, true) and #text < 65536 then
        found = found + 1
        visit(text, line)
      end
    end
    list:close()
    return found
  end

  it("survive edits that are undone, byte for byte", function()
    if not corpus then return pending "STRATA_CORPUS is not set" end
    local found = each_config(function(text, name)
      local cfg, message = config.new(text)
      assert.truthy(cfg, name .. ": " .. tostring(message))
      assert.same(cjson.decode(text), cfg:totable())
      for key in pairs(cfg.config or {}) do cfg[key] = cfg[key] end
      assert.equal(text, cfg:text(), name)
      if cfg.Env and cfg.Env[1] then
        assert.equal(text, cfg:set_env("STRATA_SPEC", "<1>"):remove_env("STRATA_SPEC"):text(), name)
      end
      cfg:set("/strata_spec", { a = { 1, 2 } })
      assert.same({ a = { 1, 2 } }, cjson.decode(cfg:text()).strata_spec)
      cfg.strata_spec = nil
      assert.equal(text, cfg:text(), name)
    end)
    assert.is_true(found > 10, found .. " configs found")
  end)
end)
