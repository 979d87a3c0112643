--- strata normalize: what tells when an image was built goes.

local options = require "strata.command.options"
local problem = require "strata.command.problem"

local normalize = {
  summary = "Make builds of the same content the same image.",
  description = "Make builds of the same content the same image: times, names of owners, order of entries.",
  usage = "[OPTION ...] IMAGE (-o TO | --in-place)",
  example = "strata normalize --epoch 0 --numeric-owner app.tar -o normal.tar",
  writes = true,
}

function normalize.define(cmd)
  options.image(cmd)
  cmd:option("--epoch", "Later times become it: seconds since 1970, or a time such as 2024-01-01T00:00:00Z. By default "
    .. "$SOURCE_DATE_EPOCH."):argname("TIME")
  cmd:option("--above", "Leave a base alone: its number of layers, or its image."):argname("BASE")
  cmd:flag("--numeric-owner", "Names of users and groups go.")
  cmd:flag("--no-xattrs", "Extended attributes go.")
  cmd:flag("--sort", "Entries in the order of their paths.")
  options.output(cmd)
end

function normalize.run(args, out)
  local img = options.open(args, out)
  local epoch = args.epoch and args.epoch:find("^%d+$") and tonumber(args.epoch) or args.epoch
  if not epoch and not os.getenv "SOURCE_DATE_EPOCH" then
    problem.stop("no epoch is given: --epoch TIME, or SOURCE_DATE_EPOCH in the environment")
  end
  local wanted = { epoch = epoch, numeric_owner = args.numeric_owner, sort = args.sort,
                   above = args.above and options.base(args, out, args.above) }
  if args.no_xattrs then wanted.xattrs = false end
  local report = problem.check(img:normalize(options.work(args, out, wanted)))
  options.tell(out, "%s", tostring(report))
  options.save(args, out, img, report)
end

return normalize
