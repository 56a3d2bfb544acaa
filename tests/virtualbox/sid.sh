# An apt for Debian sid that touches nothing of this machine's package database: sourced by root.sh and guest.sh.

UNAVAILABLE=75

unavailable() {
  say "Debian sid's packages cannot be had: the tests with a real VBoxManage are LEFT OUT"
  exit $UNAVAILABLE
}

# set_up_apt FOLDER: from now on apt-get and apt-cache are about sid, and keep everything below FOLDER.
set_up_apt() {
  local apt=$1 mirror
  mirror=$(mirror_sources bookworm | awk '{ print $3; exit }')
  mkdir -p "$apt"/{etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d,lists/partial,archives/partial}
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main contrib" >"$apt/etc/sources.list"
  cat >"$apt/apt.conf" <<END
Dir::Etc "$apt/etc"; Dir::State "$apt"; Dir::State::Lists "$apt/lists"; Dir::State::status "$apt/status";
Dir::Cache "$apt"; Dir::Cache::archives "$apt/archives";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Install-Recommends "false";
Acquire::Check-Valid-Until "false"; // sid of a frozen mirror is as good
APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3"; Debug::NoLocking "true";
#clear DPkg::Post-Invoke;
END
  export APT_CONFIG=$apt/apt.conf LC_ALL=C.UTF-8
  apt-get -qq update || unavailable
}
