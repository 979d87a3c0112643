local config = require "strata.config"
local history = require "strata.history"

local DIGEST = '"sha256:' .. ("0123456789abcdef"):rep(4) .. '"'

local ROWS = {
  '{"created":"2020-01-01T00:00:00Z","created_by":"ADD rootfs.tar \\u003c/"}',
  '{"created":"2020-01-01T00:00:00Z","created_by":"CMD [\\"sh\\"]","empty_layer":true}',
  '{"created_by":"RUN --token=s3cret make \\u0026\\u0026 login --token=other","comment":"token=third"}',
  '{"created_by":"ENV A=1", "empty_layer": true,"x":[1]}',
}

-- A document with the given rows and as many layers.
local function load_config(rows, layers)
  local edits, ids = 0, {}
  for i = 1, layers do ids[i] = DIGEST end
  local text = '{"os":"linux",' .. (rows and '"history":' .. rows .. "," or "")
    .. '"rootfs":{"type":"layers","diff_ids":[' .. table.concat(ids, ",") .. "]}}"
  return assert(config.new(text, { changed = function() edits = edits + 1 end })), function() return edits end
end

local function usual()
  return load_config("[" .. table.concat(ROWS, ",") .. "]", 2)
end

local function rows_text(cfg)
  return cfg:text():match('"history":(%b[])')
end

-- The history with the given rows in the place of the usual ones.
local function expect(rows)
  return "[" .. table.concat(rows, ",") .. "]"
end

local LAYERS = { "first", "second" }

describe("the history's rows", function()
  it("have the fields of the document", function()
    local rows = history.rows(usual(), LAYERS)
    assert.equal(4, #rows)
    assert.equal("2020-01-01T00:00:00Z", rows[1].created)
    assert.equal("ADD rootfs.tar </", rows[1].created_by)
    assert.is_nil(rows[1].comment)
    assert.is_nil(rows[1].empty_layer)
    assert.is_true(rows[2].empty_layer)
    assert.same({ 1 }, rows[4].x)
    assert.same({ 1, 2, 3, 4 }, { rows[1].position, rows[2].position, rows[3].position, rows[4].position })
  end)

  it("belong to the layers in turn, empty ones passed over", function()
    local rows = history.rows(usual(), LAYERS)
    assert.equal("first", rows[1].layer)
    assert.is_nil(rows[2].layer)
    assert.equal("second", rows[3].layer)
    assert.is_nil(rows[4].layer)
  end)

  it("may be too few, too many, or none", function()
    local rows = history.rows(load_config("[{}]", 2), LAYERS)
    assert.equal("first", rows[1].layer)
    rows = history.rows(load_config("[{},{},{}]", 2), LAYERS)
    assert.equal("second", rows[2].layer)
    assert.is_nil(rows[3].layer)
    for _, none in ipairs { "[]", "null", false } do
      assert.same({}, history.rows(load_config(none, 2), LAYERS))
    end
  end)

  it("are found by their layer", function()
    local cfg = usual()
    assert.equal(3, history.layer_row(cfg, 2, LAYERS).position)
    assert.equal("second", history.layer_row(cfg, 2, LAYERS).layer)
    assert.is_nil(history.layer_row(cfg, 3, LAYERS))
  end)

  it("say in one line what they are", function()
    local rows = history.rows((load_config('[{"created_by":"a\\u001b[1m"},{"empty_layer":true}]', 1)))
    assert.equal("strata.HistoryRow(1, layer 1, a?[1m)", tostring(rows[1]))
    assert.equal("strata.HistoryRow(2, no layer, ?)", tostring(rows[2]))
  end)
end)

describe("assigning to a row", function()
  it("changes the span and nothing else", function()
    local cfg, edits = usual()
    local rows = history.rows(cfg, LAYERS)
    rows[3].created_by = "RUN make"
    rows[4].comment = "<"
    rows[1].created = nil
    assert.equal(3, edits())
    assert.equal(expect {
      '{"created_by":"ADD rootfs.tar \\u003c/"}', ROWS[2],
      '{"created_by":"RUN make","comment":"token=third"}',
      '{"created_by":"ENV A=1", "empty_layer": true,"x":[1],"comment":"\\u003c"}',
    }, rows_text(cfg))
  end)

  it("changes no byte when the row says so already", function()
    local cfg, edits = usual()
    local rows = history.rows(cfg, LAYERS)
    rows[1].created_by = "ADD rootfs.tar </"
    rows[2].empty_layer = true
    rows[1].comment = nil
    assert.equal(0, edits())
    assert.equal(expect(ROWS), rows_text(cfg))
  end)

  it("refuses what cannot be", function()
    local row = history.rows(usual(), LAYERS)[1]
    for key, value in pairs { created = "now", created_by = 1, comment = {}, author = true, empty_layer = "yes",
        layer = "first", index = 2, x = print, drop = 1 } do
      assert.error(function() row[key] = value end)
    end
    assert.error_matches(function() row.created = "now" end, "history row 1: created must be a time")
  end)

  it("never takes a row from its layer, or gives it one too many", function()
    local rows = history.rows(usual(), LAYERS)
    assert.error_matches(function() rows[1].empty_layer = true end, "belongs to layer 1")
    assert.error_matches(function() rows[2].empty_layer = nil end, "has its row already")
    assert.error_matches(function() rows[2].empty_layer = false end, "has its row already")
  end)

  it("repairs a history that does not fit", function()
    local rows = history.rows(load_config("[{},{}]", 1), { "only" })
    rows[2].empty_layer = true
    assert.is_true(rows[2].empty_layer)
    rows = history.rows(load_config('[{},{"empty_layer":true}]', 2), LAYERS)
    rows[2].empty_layer = nil
    assert.equal("second", rows[2].layer)
  end)
end)

describe("dropping a row", function()
  it("removes its span", function()
    local cfg, edits = usual()
    history.rows(cfg, LAYERS)[2]:remove()
    assert.equal(expect { ROWS[1], ROWS[3], ROWS[4] }, rows_text(cfg))
    assert.equal(1, edits())
  end)

  it("is refused for a row that has a layer", function()
    local cfg = usual()
    local row = history.rows(cfg, LAYERS)[3]
    assert.error_matches(function() row:remove() end, "history row 3 belongs to layer 2")
    assert.equal(expect(ROWS), rows_text(cfg))
  end)

  it("works for a row too many", function()
    local cfg = load_config("[{},{}]", 1)
    local rows = history.rows(cfg)
    assert.error(function() rows[1]:remove() end)
    rows[2]:remove()
    assert.equal("[{}]", rows_text(cfg))
  end)

  it("leaves the other rows pointing at theirs", function()
    local cfg = usual()
    local rows, others = history.rows(cfg, LAYERS), history.rows(cfg, LAYERS)
    rows[2]:remove()
    assert.equal(2, rows[3].position)
    assert.equal("second", others[3].layer)
    others[4].created_by = "ENV"
    rows[4]:remove()
    assert.equal(expect { ROWS[1], ROWS[3] }, rows_text(cfg))
    for _, row in ipairs { rows[2], others[2], others[4] } do
      assert.error_matches(function() return row.created_by end, "was removed")
      assert.error_matches(function() row.created_by = "x" end, "was removed")
      assert.error_matches(function() row:remove() end, "was removed")
      assert.equal("strata.HistoryRow(was removed)", tostring(row))
    end
  end)
end)

describe("a row that outlives its history", function()
  it("throws", function()
    for _, replace in ipairs {
      function(cfg) history.clear(cfg) end, function(cfg) cfg.history = { { created_by = "x" } } end,
      function(cfg) cfg:set("/history/0", nil) end,
    } do
      local cfg = usual()
      local row = history.rows(cfg, LAYERS)[4]
      replace(cfg)
      assert.error_matches(function() return row.position end, "was replaced")
    end
  end)

  it("lives on when a field was set by pointer", function()
    local cfg = usual()
    local rows = history.rows(cfg, LAYERS)
    assert.is_nil(rows[2].layer)
    cfg:set("/history/1/empty_layer", nil)
    assert.equal("second", rows[2].layer)
    assert.is_nil(rows[3].layer)
  end)
end)

describe("scrubbing the history", function()
  it("replaces in created_by and comment, and keeps every other byte", function()
    local cfg, edits = usual()
    assert.equal(3, history.scrub(cfg, "token=%w+", "token=***"))
    assert.equal(expect { ROWS[1], ROWS[2],
      '{"created_by":"RUN --token=*** make \\u0026\\u0026 login --token=***","comment":"token=***"}', ROWS[4] },
      rows_text(cfg))
    assert.equal(1, edits())
  end)

  it("puts asterisks when nothing else is said", function()
    local cfg = load_config('[{"created_by":"a secret"}]', 1)
    assert.equal(1, history.scrub(cfg, "secret"))
    assert.equal('[{"created_by":"a ***"}]', rows_text(cfg))
  end)

  it("changes nothing when nothing matches, or there is nothing", function()
    local cfg, edits = usual()
    assert.equal(0, history.scrub(cfg, "nowhere"))
    assert.equal(0, history.scrub(cfg, "ADD", "ADD"))
    assert.equal(0, history.scrub(load_config(false, 1), "x"))
    assert.equal(0, history.scrub(load_config('[{"created_by":null},{"comment":5}]', 1), "."))
    assert.equal(0, edits())
  end)

  it("fails whole when the result is no UTF-8", function()
    local cfg = load_config('[{"created_by":"a"},{"created_by":"\195\164"}]', 1)
    local text = cfg:text()
    local count, message, code = history.scrub(cfg, "[a\164]", "")
    assert.is_nil(count)
    assert.truthy(message:find("history row 2", 1, true))
    assert.equal("EFORMAT", code)
    assert.equal(text, cfg:text())
  end)

  it("keeps rows alive", function()
    local cfg = usual()
    local row = history.rows(cfg, LAYERS)[3]
    history.scrub(cfg, "token=%w+")
    assert.equal("***", row.comment)
  end)
end)

describe("clearing the history", function()
  it("removes it", function()
    local cfg, edits = usual()
    history.clear(cfg)
    assert.is_nil(cfg.history)
    assert.is_nil(cfg:text():find("history", 1, true))
    assert.equal(1, edits())
  end)

  it("does nothing where there is none", function()
    for _, none in ipairs { "[]", "null", false } do
      local cfg, edits = load_config(none, 1)
      history.clear(cfg)
      assert.equal(0, edits())
    end
  end)
end)

describe("adding to the history", function()
  it("puts a row at the end, in the order of the spec", function()
    local cfg = usual()
    assert.equal(5, history.append(cfg, { z = 1, comment = "c", created_by = "<x>", created = "2021-01-01T00:00:00Z",
      empty_layer = true, a = { 1 } }))
    assert.equal(expect { ROWS[1], ROWS[2], ROWS[3], ROWS[4], '{"created":"2021-01-01T00:00:00Z",'
      .. '"created_by":"\\u003cx\\u003e","comment":"c","empty_layer":true,"a":[1],"z":1}' }, rows_text(cfg))
  end)

  it("makes the history", function()
    for _, none in ipairs { "[]", "null", false } do
      local cfg = load_config(none, 1)
      assert.equal(1, history.append(cfg, { created_by = "x" }, 1))
      assert.equal('[{"created_by":"x"}]', rows_text(cfg))
      assert.equal("x", history.rows(cfg)[1].created_by)
    end
  end)

  it("gives layers before it a row when they have none", function()
    local cfg = load_config(false, 2)
    history.append(cfg, { created_by = "x" }, 3)
    assert.equal('[{},{},{"created_by":"x"}]', rows_text(cfg))
  end)

  it("stays in front of rows that have no layer", function()
    local cfg = load_config('[{},{"empty_layer":true},{"comment":"stray"}]', 1)
    local rows = history.rows(cfg, LAYERS)
    history.append(cfg, { created_by = "x" }, 2)
    assert.equal('[{},{"empty_layer":true},{"created_by":"x"},{"comment":"stray"}]', rows_text(cfg))
    assert.equal("stray", rows[3].comment)
    assert.equal(4, rows[3].position)
  end)

  it("refuses what is no row", function()
    local cfg = usual()
    assert.error(function() history.append(cfg, { "x" }) end)
    assert.error(function() history.append(cfg, { created_by = 1 }) end)
    assert.error(function() history.append(cfg, { x = print }) end)
    assert.equal(expect(ROWS), rows_text(cfg))
  end)
end)

describe("a layer that goes away", function()
  it("leaves its row marked", function()
    local cfg, edits = usual()
    history.mark_empty(cfg, { 1 })
    assert.equal(expect { '{"created":"2020-01-01T00:00:00Z","created_by":"ADD rootfs.tar \\u003c/",'
      .. '"empty_layer":true}', ROWS[2], ROWS[3], ROWS[4] }, rows_text(cfg))
    assert.equal(1, edits())
    assert.equal(3, history.layer_row(cfg, 1).position)
  end)

  it("may have no row", function()
    local cfg, edits = load_config("[{}]", 2)
    history.mark_empty(cfg, { 2 })
    assert.equal(0, edits())
  end)
end)
