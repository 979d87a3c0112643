--- What POST /check admits; see strata.Policy.

return {
  setid = { "usr/bin/su", "usr/bin/sudo", "usr/bin/mount", "usr/bin/umount", "usr/bin/passwd", "bin/su" },
  secrets = {
    paths = { "**/id_rsa", "**/id_ed25519", "**/.netrc", "**/.git-credentials", "root/.aws" },
    env = { "^[%w_]*PASSWORD=.", "^[%w_]*TOKEN=.", "^[%w_]*SECRET=." },
    history = { "[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]=%S" },
  },
}
