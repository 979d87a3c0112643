--- What messages call a layer: layer 3/7 (sha256:0123456789ab…)

---@param state strata.LayerState
---@return string
return function(state)
  local short = state.diff_id:sub(1, 19)
  if state.hub.standalone then return ("layer (%s…)"):format(short) end
  return ("layer %d/%d (%s…)"):format(state.position, #state.hub.layers, short)
end
