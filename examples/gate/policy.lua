--- What may be pushed: the rules of strata.Policy, as `strata gate IMAGE policy.lua` takes them, too.

return {
  root_user = true, -- images may run as root; without this line they may not

  -- Files that may run with the rights of their owner; no device, nowhere.
  setid = {
    "usr/bin/su", "usr/bin/sudo", "usr/bin/passwd", "usr/bin/mount", "usr/bin/umount", "usr/bin/newgrp",
    "usr/bin/chsh", "usr/bin/chfn", "usr/bin/gpasswd", "usr/bin/chage", "usr/bin/expiry", "usr/sbin/unix_chkpwd",
    "bin/su", "bin/mount", "bin/umount", "bin/bbsuid", "sbin/unix_chkpwd",
  },

  -- Keys and passwords, in any layer, in the config and in the history.
  secrets = {
    paths = { "**/id_rsa", "**/id_ed25519", "**/.netrc", "**/.git-credentials", "root/.aws" },
    env = { "^[%w_]*PASSWORD=.", "^[%w_]*TOKEN=.", "^[%w_]*SECRET=." },
    history = { "[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]=%S" },
  },

  max_layers = 128,
}
