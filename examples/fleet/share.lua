--- Which images of a list are whose, when several processes divide it without a queue between them.

local share = {}

-- The list in the order of its bytes, each reference once, as enqueue reads it: what is behind a "#" is none.
local function read(lines)
  local list, seen = {}, {}
  for line in lines do
    local ref = line:match("^%s*([^%s#]+)")
    if ref and not ref:find("^docker://") then ref = "docker://" .. ref end
    if ref and not seen[ref] then
      seen[ref] = true
      list[#list + 1] = ref
    end
  end
  table.sort(list)
  return list
end

--- A number from 0 to 2^31 - 2 that a text always has, on every machine. It is no protection against anybody.
---@param text string
---@return integer
function share.number(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 4294967296 end
  return math.floor(sum % 2147483647 * 48271 % 2147483647)
end

--- The references of one share. By place, shares differ by one image at most, and all processes have to see the same
--- list. By hash, an image is the same share's in every list, so that each process can make the list for itself, and
--- the largest share is some percent larger than the smallest.
---@param lines fun(): string?  of the list
---@param index integer  from 0
---@param count integer  of the shares
---@param by "place"|"hash"
---@return string[] refs  in the order of their bytes
---@return integer total  of the list
function share.of(lines, index, count, by)
  local list, mine = read(lines), {}
  for i, ref in ipairs(list) do
    local number = by == "hash" and share.number(ref) or i - 1
    if number % count == index then mine[#mine + 1] = ref end
  end
  return mine, #list
end

-- The variables by which schedulers tell a process its place, and the number of the first one.
local PLACES = {
  { name = "JOB_COMPLETION_INDEX", first = 0 }, -- Kubernetes, an Indexed Job
  { name = "SLURM_ARRAY_TASK_ID", first = "SLURM_ARRAY_TASK_MIN", count = "SLURM_ARRAY_TASK_COUNT" }, -- sbatch --array
  { name = "PARALLEL_SEQ", first = 1 }, -- GNU parallel
}

--- The place of this process, as its scheduler tells it.
---@param environment fun(name: string): string?
---@return integer? index  from 0; nil: no scheduler has said
---@return integer? count
function share.place(environment)
  for _, place in ipairs(PLACES) do
    local index = tonumber(environment(place.name) or "")
    if index then
      local first = type(place.first) == "string" and tonumber(environment(place.first) or "0") or place.first
      return index - first, place.count and tonumber(environment(place.count) or "") or nil
    end
  end
end

return share
