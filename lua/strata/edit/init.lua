--- The operations on images. Each module adds its methods to strata.Image.

require "strata.edit.append"
require "strata.edit.dedup"
require "strata.edit.entries"
require "strata.edit.layer_list"
require "strata.edit.normalize"
require "strata.edit.purge"
require "strata.edit.remove"
require "strata.edit.rebase"
require "strata.edit.rechunk"
require "strata.edit.scrub"
require "strata.edit.split"
require "strata.edit.squash"
