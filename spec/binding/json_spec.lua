local cjson = require "cjson"
local core = require "strata.core"
local json = require "strata.util.json"

local has_integers = rawget(math, "type") ~= nil

local function is_integer(n)
  return not has_integers or rawget(math, "type")(n) == "integer"
end

describe("core.json", function()
  local text = '{ "a": [1, 2.5, -3e2, "\\u00e4/\\n"], "b": {"x": null, "": true}, "c": "C", "n": 0 }'

  local function document(given)
    return assert(core.json(given or text))
  end

  it("keeps the text", function()
    for _, given in ipairs { text, " [ ]\n", '"\\/"', "1E+5", "\r\n{\"a\"\t:1}\n" } do
      assert.equal(given, document(given):text())
    end
  end)

  it("refuses what is no JSON, with the offset", function()
    for given, offset in pairs { ["[1,]"] = 3, ["{} x"] = 3, ["01"] = 1, ["\"\\ud800\""] = 7,
        ['{"a":1,"\\u0061":2}'] = 7, ["\239\187\191{}"] = 0, ["\"\237\160\128\""] = 1, [""] = 0 } do
      local doc, message, code = core.json(given)
      assert.is_nil(doc)
      assert.equal("EFORMAT", code)
      assert.truthy(message:find(("offset %d)"):format(offset), 1, true), message)
    end
  end)

  it("has limits with an error of their own", function()
    local function code_of(given, limits) return select(3, core.json(given, limits)) end
    assert.equal("ELIMIT", code_of("[1,2]", { max_bytes = 4 }))
    assert.equal("ELIMIT", code_of("[1,2]", { max_values = 2 }))
    assert.equal("ELIMIT", code_of("[[]]", { max_depth = 1 }))
    assert.equal("ELIMIT", code_of(("["):rep(65) .. ("]"):rep(65)))
    assert.equal("ELIMIT", code_of(" " .. (" "):rep(4 * 1024 * 1024)))
    assert.is_nil(code_of("[1,2]", { max_bytes = 5, max_values = 3, max_depth = 1 }))
  end)

  it("throws for limits that are none", function()
    for _, limit in ipairs { 0, -1, "1", 2 ^ 33, 0 / 0 } do
      assert.error(function() core.json("1", { max_bytes = limit }) end)
    end
  end)

  it("reads scalars with their type", function()
    local doc = document()
    assert.same({ 1, "number" }, { doc:get "/a/0" })
    assert.same({ 2.5, "number" }, { doc:get "/a/1" })
    assert.same({ -300, "number" }, { doc:get "/a/2" })
    assert.same({ "\195\164/\n", "string" }, { doc:get "/a/3" })
    assert.same({ true, "boolean" }, { doc:get "/b/" })
  end)

  it("tells null from absent", function()
    local doc = document()
    local value, kind = doc:get "/b/x"
    assert.is_nil(value)
    assert.equal("null", kind)
    value, kind = doc:get "/b/y"
    assert.is_nil(value)
    assert.is_nil(kind)
  end)

  it("gives containers as text", function()
    local value, kind, raw = document():get "/b"
    assert.is_nil(value)
    assert.equal("object", kind)
    assert.equal('{"x": null, "": true}', raw)
  end)

  it("reads integers exactly where Lua has them", function()
    for _, n in ipairs { "0", "5368709120", "9007199254740991", "-9007199254740991" } do
      local value = document(n):get ""
      assert.equal(n, ("%d"):format(value))
      assert.is_true(is_integer(value))
    end
    if has_integers then
      assert.equal("9223372036854775807", tostring((document "9223372036854775807":get "")))
      assert.equal("9007199254740993", tostring((document "9007199254740993":get "")))
    end
    assert.equal(2 ^ 64, (document "18446744073709551616":get ""))
    assert.is_true(is_integer((document "1e2":get "")))
    assert.equal(math.huge, (document "1e400":get ""))
  end)

  it("counts, types and lists", function()
    local doc = document()
    assert.equal(4, doc:count "")
    assert.equal(4, doc:count "/a")
    assert.equal(0, doc:count "/c")
    assert.is_nil(doc:count "/z")
    assert.equal("array", doc:type "/a")
    assert.is_nil(doc:type "/a/4")
    assert.same({ "a", "b", "c", "n" }, doc:keys "")
    assert.same({}, document "{}":keys "")
    assert.is_nil(doc:keys "/a")
    assert.equal('"\\u00e4/\\n"', doc:raw "/a/3")
    assert.same({ 'x"', "\195\164" }, document '{"x\\"":1,"\\u00e4":2}':keys "")
  end)

  it("says where children stand", function()
    local doc = document '[10, {"a":[]},"x"]'
    local all, spans, found = doc:text(), doc:spans "", {}
    for i = 1, #spans, 2 do found[#found + 1] = all:sub(spans[i], spans[i + 1]) end
    assert.same({ "10", '{"a":[]}', '"x"' }, found)
    assert.same({ 7, 8 }, document '{ "a":{}}':spans "")
    assert.same({}, doc:spans "/1/a")
    assert.is_nil(doc:spans "/0")
  end)

  it("tells whether an edit changed the text", function()
    local doc = document '{"a":1,"b":[]}'
    assert.is_false(doc:set("/a", " 1 "))
    assert.is_true(doc:set("/a", "1.0"))
    assert.is_true(doc:insert("/b/0", "2"))
    assert.is_true(doc:rename("/b", "c"))
    assert.is_false(doc:rename("/b", "c"))
    assert.is_true(doc:remove "/a")
    assert.is_false(doc:remove "/a")
    assert.equal('{"c":[2]}', doc:text())
  end)

  it("leaves the document alone when an edit fails", function()
    local doc = document()
    for _, edit in ipairs {
      { "set", "/c", "}", "EFORMAT" }, { "set", "/a/9", "1", "ENOENT" },
      { "set", "/c/x", "1", "ENOENT" }, { "insert", "/b/0", "1", "ENOENT" },
      { "rename", "/a", "b", "EEXIST" }, { "rename", "/a", "\255", "EFORMAT" },
      { "set", "/c", ("["):rep(64) .. ("]"):rep(64), "ELIMIT" },
    } do
      local ok, message, code = doc[edit[1]](doc, edit[2], edit[3])
      assert.is_nil(ok)
      assert.is_string(message)
      assert.equal(edit[4], code)
      assert.equal(text, doc:text())
    end
  end)

  it("throws for a malformed pointer and for misuse", function()
    local doc = document()
    for _, pointer in ipairs { "a", "/~", "/~2" } do
      for _, method in ipairs { "get", "type", "raw", "count", "keys", "spans", "remove" } do
        assert.error(function() doc[method](doc, pointer) end)
      end
      assert.error(function() doc:set(pointer, "1") end)
    end
    assert.error(function() doc:remove "" end)
    assert.error(function() doc:rename("/a/0", "x") end)
    assert.error(function() doc.get({}, "/a") end)
    assert.error(function() doc:get() end)
  end)

  it("throws once it is closed", function()
    local doc = document()
    assert.equal("strata.JSON(82 bytes)", tostring(doc))
    doc:close()
    doc:close()
    assert.equal("strata.JSON(closed)", tostring(doc))
    assert.error_matches(function() doc:text() end, "closed strata.JSON")
  end)
end)

describe("core.json_quote", function()
  it("escapes as Go does", function()
    assert.equal('"\\u003ca href=\\"/x\\"\\u003e \\u0026\\u0026 \\u2028 \\t\\u0000 \195\164"',
      core.json_quote('<a href="/x"> && \226\128\168 \t\0 \195\164'))
  end)

  it("refuses what is not UTF-8", function()
    local text, message, code = core.json_quote "a\255"
    assert.is_nil(text)
    assert.truthy(message:find("not UTF-8", 1, true))
    assert.equal("EFORMAT", code)
  end)

  it("is undone by a decoder", function()
    local all = {}
    for i = 0, 127 do all[#all + 1] = string.char(i) end
    local s = table.concat(all) .. "\195\164\240\159\152\128"
    assert.equal(s, cjson.decode("[" .. core.json_quote(s) .. "]")[1])
  end)
end)

describe("strata.json", function()
  it("decodes what cjson decodes", function()
    local given = '{"a":[1,2,{"b":"\\u00e4"}],"c":null,"d":true,"e":{"1":"x"},"f":0.5}'
    assert.same(cjson.decode(given), json.decode(given))
    assert.equal(cjson.null, json.null)
    assert.equal(json.null, json.decode "null")
  end)

  it("decodes whole numbers to integers", function()
    local t = json.decode '{"a":[1,2.0,1e3],"b":0.5}'
    for _, n in ipairs(t.a) do assert.is_true(is_integer(n)) end
    assert.equal("1 2 1000", ("%s %s %s"):format(t.a[1], t.a[2], t.a[3]))
    assert.equal(0.5, t.b)
  end)

  it("refuses what cjson lets pass", function()
    for _, given in ipairs { "[NaN]", "[0x10]", "[01]", '["\255"]', '{"a":1,"a":2}' } do
      assert.is_true((pcall(cjson.decode, given)))
      local value, _, code = json.decode(given)
      assert.is_nil(value)
      assert.equal("EFORMAT", code)
    end
  end)

  it("does not care for the settings of the host's cjson", function()
    cjson.decode_max_depth(1)
    local value = json.decode "[[[1]]]"
    cjson.decode_max_depth(1000)
    assert.same({ { { 1 } } }, value)
  end)

  it("encodes with sorted names, and no fraction of whole numbers", function()
    assert.equal('{"":0,"B":1,"a":[1,2.5,true,null,"/"],"\195\164":{"x":5368709120}}',
      json.encode { a = { 1, 2.5, true, json.null, "/" }, B = 1.0, [""] = 0, ["\195\164"] = { x = 5368709120 } })
  end)

  it("writes numbers that read back as they were", function()
    for _, n in ipairs { 0.1, 1 / 3, 1e300, -2.5e-10, 2 ^ 53, 1e15, 123456789.125 } do
      assert.equal(n, (assert(core.json(json.encode(n))):get ""))
    end
    assert.equal("1000000000000000", json.encode(1e15))
    assert.equal("0", json.encode(-0.0))
  end)

  it("asks what an empty table is", function()
    assert.error_matches(function() json.encode {} end, "strata.array%(%) or strata.object%(%)")
    assert.error_matches(function() json.encode { a = {} } end, "at /a")
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode(json.object {}))
    assert.equal("[]", json.encode({}, "array"))
    assert.equal("{}", json.encode({}, "object"))
    assert.equal('{"a":[],"b":{}}', json.encode({ a = {}, b = {} }, function(path)
      return path == "/a" and "array" or "object"
    end))
  end)

  it("refuses what is no JSON value", function()
    local circle = {}
    circle[1] = circle
    for _, value in ipairs { { 1, nil, 3 }, { 1, a = 2 }, { [1.5] = 1 }, { [true] = 1 }, { 0 / 0 },
        { 1 / 0 }, { print }, { "\255" }, { ["\255"] = 1 }, circle, json.array { a = 1 },
        json.object { 1 } } do
      assert.is_false((pcall(json.encode, value)))
    end
  end)

  it("round-trips through cjson", function()
    local value = { a = { 1, 2, { b = "x\n<" } }, c = "\195\164", d = false, e = { ["1"] = "y" } }
    assert.same(value, cjson.decode(json.encode(value)))
  end)

  it("edits elements in one pass and keeps the bytes around them", function()
    local function edited(text, edit)
      local doc = assert(core.json(text))
      local changed = json.edit_elements(doc, "/a", edit)
      return doc:text(), changed
    end
    local text = '{ "a" : [ 1,\n 2 ,3,  4 ] , "b":0}\n'
    local function drop(...)
      local gone = { ... }
      return function(raw)
        for _, n in ipairs(gone) do
          if n == tonumber(raw) then return false end
        end
      end
    end
    assert.equal('{ "a" : [ 2 ,3,  4 ] , "b":0}\n', (edited(text, drop(1))))
    assert.equal('{ "a" : [ 1 ,3 ] , "b":0}\n', (edited(text, drop(2, 4))))
    assert.equal('{ "a" : [ 3 ] , "b":0}\n', (edited(text, drop(1, 2, 4))))
    assert.equal('{ "a" : [] , "b":0}\n', (edited(text, drop(1, 2, 3, 4))))
    assert.equal('{ "a" : [ 10,\n 20 ,30,  40 ] , "b":0}\n', (edited(text, function(raw) return raw .. "0" end)))
    assert.same({ text, false }, { edited(text, function() end) })
    assert.same({ '{"a":[]}', false }, { edited('{"a":[]}', function() return false end) })
  end)

  it("makes text fit for a terminal", function()
    assert.equal("a?[31m?b\195\164", json.printable "a\27[31m\194\155b\195\164")
    assert.equal("abc...", json.printable("abcdefgh", 6))
    assert.equal("ab...", json.printable("ab\195\164defgh", 6))
  end)
end)
