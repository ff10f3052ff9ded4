"""What Debian's maintainer scripts do to make a working system, for the packages that need it.

A recipe changes a Package before rpmbuild sees it. What can be a file, an owner or a mode is one: scripts are for what
needs the tree (accounts, caches). Accounts come in both ways that real distributions have: some packages call useradd
in %pre, others ship sysusers.d files.
"""

import inspect
import os
import posixpath
import re

from . import selinux
from .run import run

FILES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "files")
RECIPES = {}

# package -> {link: target}: the choice update-alternatives makes by priority
ALTERNATIVES = {
    "cpio": {"/usr/bin/mt": "mt-gnu"},
    "debianutils": {"/usr/bin/which": "which.debianutils"},
    "gawk": {"/usr/bin/awk": "gawk", "/usr/bin/nawk": "gawk"},
    "iptables": {f"/usr/sbin/{name}{verb}": f"{name}-nft{verb}"
                 for name in ("iptables", "ip6tables", "arptables", "ebtables")
                 for verb in ("", "-save", "-restore")},
    "less": {"/usr/bin/pager": "less"},
    "nano": {"/usr/bin/editor": "nano", "/usr/bin/pico": "nano"},
    "pinentry-curses": {"/usr/bin/pinentry": "pinentry-curses"},
    "tar": {"/usr/sbin/rmt": "rmt-tar"},
    "vim-tiny": {f"/usr/bin/{name}": "vim.tiny" for name in ("vi", "view", "ex", "rview")},
    "xz-utils": {"/usr/bin/lzma": "xz", "/usr/bin/unlzma": "unxz"} | {
        f"/usr/bin/lz{name}": f"xz{name}" for name in ("cat", "more", "less", "diff", "cmp", "grep", "egrep", "fgrep")},
}
CAPABILITIES = {
    "iputils-ping": {"/usr/bin/ping": "cap_net_raw=ep"},
    "mtr-tiny": {"/usr/bin/mtr-packet": "cap_net_raw=ep"},
}
# directories with an owner of their own: only this package brings them
OWNED = {"/usr/share/polkit-1/rules.d": "polkitd", "/etc/polkit-1/rules.d": "polkitd"}
UNIT = re.compile(r"deb-systemd-helper enable '([^']+)'")


def recipe(name):
    def register(function):
        RECIPES[name] = function
        return function
    return register


def shipped(name):
    """Text of a file that lies in tests/world/files."""
    with open(os.path.join(FILES, name), encoding="utf-8") as file:
        return file.read()


def fingerprint(name):
    """Text that changes when what this module does to package `name` may change."""
    helpers = {key: value for key, value in globals().items() if inspect.isfunction(value)
               and value.__module__ == __name__ and value not in RECIPES.values()}
    text = inspect.getsource(apply) + (inspect.getsource(RECIPES[name]) if name in RECIPES else "")
    text += "".join(inspect.getsource(value) for key, value in sorted(helpers.items()) if f"{key}(" in text)
    files = [shipped(file) for file in re.findall(r'shipped\("([^"]+)"\)', text)]
    return repr((text, files, ALTERNATIVES.get(name), CAPABILITIES.get(name), sorted(OWNED.items()), UNIT.pattern))


def apply(package, deb, world):
    """All recipes for this package. `world` gives recipes that need them the .debs of other packages."""
    for path, owner in OWNED.items():
        if package.name != owner and path in package.entries:
            package.disown(path)
    for link, target in ALTERNATIVES.get(package.name, {}).items():
        package.add_link(link, target)
    for path, caps in CAPABILITIES.get(package.name, {}).items():
        package.own(path, caps=caps)
    if package.name in RECIPES:
        RECIPES[package.name](package, world)
    units = sorted(set(UNIT.findall(deb.scripts.get("postinst", ""))))
    if units and package.name != "systemd":
        # What was unpacked before systemd gets its presets from systemd's own %post.
        package.script("post", f"""
if [ "$1" -eq 1 ] && [ -x /usr/bin/systemctl ]; then
  systemctl --no-reload preset {' '.join(units)} || :
fi
""")


def account(package, user=None, group=None, home="/nonexistent", primary=None):
    """Create accounts in %pre, as packages do that need them for their own files."""
    lines = []
    if group:
        lines.append(f"getent group {group} >/dev/null || groupadd -r {group}")
    if user:
        lines.append(f"getent passwd {user} >/dev/null || "
                     f"useradd -r -M -g {primary or group} -d {home} -s /usr/sbin/nologin {user}")
    package.script("pre", "\n".join(lines), needs=["passwd", "login", "libc-bin"])


@recipe("base-files")
def _base_files(package, _world):
    share = "/usr/share/base-files"
    package.copy(f"{share}/profile", "/etc/profile", config=True)
    package.copy(f"{share}/motd", "/etc/motd", config=True)
    package.add_link("/etc/dpkg/origins/default", "debian")
    package.add_file("/usr/lib/tmpfiles.d/root-files.conf",
                     f"C /root/.profile 0644 root root - {share}/dot.profile\n"
                     f"C /root/.bashrc 0644 root root - {share}/dot.bashrc\n")


@recipe("ca-certificates")
def _ca_certificates(package, _world):
    folder = "/usr/share/ca-certificates/"
    names = sorted(path.removeprefix(folder) for path in package.entries
                   if path.startswith(folder) and path.endswith(".crt"))
    package.add_file("/etc/ca-certificates.conf", "\n".join(names) + "\n", config=True)
    bundle = b""
    for name in names:
        bundle += package.read(folder + name)
        package.add_link("/etc/ssl/certs/" + posixpath.basename(name).removesuffix(".crt") + ".pem", folder + name)
    package.add_file("/etc/ssl/certs/ca-certificates.crt", bundle)
    for name in names:
        path = package.path(folder + name)
        name_hash = run(["openssl", "x509", "-noout", "-subject_hash", "-in", path], f"hashing {name}").strip()
        number = 0
        while f"/etc/ssl/certs/{name_hash}.{number}" in package.entries:
            number += 1
        package.add_link(f"/etc/ssl/certs/{name_hash}.{number}",
                         posixpath.basename(name).removesuffix(".crt") + ".pem")


@recipe("cron")
def _cron(package, _world):
    package.own("/usr/bin/crontab", 0o2755, group="crontab")
    package.tags["Requires(pre)"].append("cron-daemon-common")


@recipe("cron-daemon-common")
def _cron_daemon_common(package, _world):
    account(package, group="crontab")
    package.own("/var/spool/cron/crontabs", 0o1730, group="crontab")


@recipe("dbus-daemon")
def _dbus_daemon(package, _world):
    package.add_dir("/var/lib/dbus")
    _launch_helper(package)


@recipe("dbus")
def _dbus(package, _world):
    _launch_helper(package)


def _launch_helper(package):
    path = "/usr/lib/dbus-1.0/dbus-daemon-launch-helper"
    if path in package.entries:
        package.own(path, 0o4754, group="messagebus")
        package.tags["Requires(pre)"].append("dbus-system-bus-common")


@recipe("dbus-system-bus-common")
def _dbus_system_bus_common(package, _world):
    account(package, user="messagebus", group="messagebus")


@recipe("debianutils")
def _debianutils(package, _world):
    shells = package.read("/usr/share/debianutils/shells").decode().rstrip("\n").splitlines()
    shells += ["/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/rbash", "/usr/bin/rbash",
               "/bin/dash", "/usr/bin/dash"]
    package.add_file("/etc/shells", "\n".join(dict.fromkeys(shells)) + "\n", config=True)


@recipe("docker.io")
def _docker(package, _world):
    account(package, group="docker")


@recipe("fuse3")
def _fuse3(package, _world):
    package.own("/usr/bin/fusermount3", 0o4755)


@recipe("grub2-common")
def _grub2_common(package, _world):
    package.copy("/usr/share/grub/default/grub", "/etc/default/grub", config=True)


@recipe("kernel")
def _kernel(package, _world):
    """Everything under /usr/lib/modules/VERSION; no initramfs: that is made for a tree, not for a package."""
    version = next(path.split("/")[4] for path in package.entries if path.startswith("/usr/lib/modules/"))
    for name in ("vmlinuz", "config", "System.map"):
        package.move(f"/boot/{name}-{version}", f"/usr/lib/modules/{version}/{name}")
    package.script("post", f"depmod -a {version}", needs=["kmod"])
    for name in ("alias", "alias.bin", "builtin.alias.bin", "builtin.bin", "dep", "dep.bin", "devname", "softdep",
                 "symbols", "symbols.bin"):
        package.add_ghost(f"/usr/lib/modules/{version}/modules.{name}")
    package.add_ghost(f"/usr/lib/modules/{version}/initramfs.img")


@recipe("kmod")
def _kmod(package, _world):
    package.add_file("/etc/modules", "# modules to load at boot, one a line\n", config=True)


@recipe("libc-bin")
def _libc_bin(package, _world):
    text = package.read("/usr/share/libc-bin/nsswitch.conf").decode()
    text = re.sub(r"^(passwd|group|shadow|gshadow):(\s+)files$", r"\1:\2files systemd", text, flags=re.M)
    package.add_file("/etc/nsswitch.conf", text, config=True)
    package.add_ghost("/etc/ld.so.cache")
    for kind in ("transfiletriggerin", "transfiletriggerpostun"):
        package.trigger(f"{kind} -P 2000000", ["/usr/lib/x86_64-linux-gnu", "/etc/ld.so.conf.d"], "/usr/sbin/ldconfig")


@recipe("libpam-modules")
def _libpam_modules(package, _world):
    package.add_file("/etc/environment", "", config=True)
    package.add_file("/etc/security/opasswd", "", 0o600, config=True)


@recipe("libpam-runtime")
def _libpam_runtime(package, _world):
    """What pam-auth-update writes when pam_unix and pam_systemd are all there is."""
    unix = "pam_unix.so"
    blocks = {
        "common-account": {"account_primary": f"account\t[success=1 new_authtok_reqd=done default=ignore]\t{unix}"},
        "common-auth": {"auth_primary": f"auth\t[success=1 default=ignore]\t{unix} nullok"},
        "common-password": {"password_primary": f"password\t[success=1 default=ignore]\t{unix} obscure yescrypt"},
        "common-session": {"session_primary": "session\t[default=1]\t\t\tpam_permit.so",
                           "session_additional": f"session\trequired\t{unix}\n-session\toptional\tpam_systemd.so"},
        "common-session-noninteractive": {"session_nonint_primary": "session\t[default=1]\t\t\tpam_permit.so",
                                          "session_nonint_additional": f"session\trequired\t{unix}"},
    }
    for name, block in blocks.items():
        text = package.read(f"/usr/share/pam/{name}").decode()
        text = re.sub(r"^\$(\w+)$", lambda match, block=block: block.get(match[1], ""), text, flags=re.M)
        package.add_file(f"/etc/pam.d/{name}", text, config=True)


@recipe("libsemanage-common")
def _libsemanage_common(package, _world):
    path = "/etc/selinux/semanage.conf"
    text = package.read(path).decode()
    package.add_file(path, text + "\n# The store is part of the tree, so it is not under /var.\n"
                                  "store-root = /etc/selinux\n", config=True)


@recipe("openssh-client")
def _openssh_client(package, _world):
    account(package, group="_ssh")
    package.own("/usr/bin/ssh-agent", 0o2755, group="_ssh")


@recipe("openssh-server")
def _openssh_server(package, _world):
    account(package, user="sshd", home="/run/sshd", primary="nogroup")
    package.copy("/usr/share/openssh/sshd_config", "/etc/ssh/sshd_config", config=True)
    package.add_file("/usr/lib/systemd/system/sshd-keygen.service", shipped("sshd-keygen.service"))
    package.add_file("/usr/lib/systemd/system/ssh.service.d/keygen.conf",
                     "[Unit]\nWants=sshd-keygen.service\nAfter=sshd-keygen.service\n")


@recipe("passwd")
def _passwd(package, _world):
    package.add_file("/etc/subuid", "", config=True)
    package.add_file("/etc/subgid", "", config=True)


@recipe("polkitd")
def _polkitd(package, _world):
    account(package, user="polkitd", group="polkitd")
    package.own("/etc/polkit-1/rules.d", 0o700, user="polkitd")
    package.own("/usr/share/polkit-1/rules.d", 0o700, user="polkitd")
    package.own("/usr/lib/polkit-1/polkit-agent-helper-1", 0o4755)
    package.add_dir("/var/lib/polkit-1", 0o700, user="polkitd")


@recipe("readline-common")
def _readline_common(package, _world):
    package.copy("/usr/share/readline/inputrc", "/etc/inputrc", config=True)


@recipe("rpm-common")
def _rpm_common(package, _world):
    package.add_file("/usr/lib/rpm/macros.d/macros.dbpath", "%_dbpath /usr/share/rpm\n")
    package.add_dir("/usr/share/rpm")


@recipe("selinux-policy-default")
def _selinux_policy(package, world):
    selinux.compile_into(package, world)


@recipe("sudo")
def _sudo(package, _world):
    package.own("/etc/sudoers", 0o440)


@recipe("systemd")
def _systemd(package, _world):
    package.add_dir("/var/log/journal")
    # /tmp is a directory of a tree that may be read-only, so something must be mounted there
    units = "/usr/lib/systemd/system"
    package.move("/usr/share/systemd/tmp.mount", f"{units}/tmp.mount")
    package.add_link(f"{units}/local-fs.target.wants/tmp.mount", "../tmp.mount")
    package.tags["Requires(post)"].append("world-release")
    package.script("post", '[ "$1" -ne 1 ] || systemctl --no-reload preset-all || :')
    package.trigger("transfiletriggerin -P 1000700", ["/usr/lib/sysusers.d"], "systemd-sysusers || :")
    package.trigger("transfiletriggerin -P 1000500", ["/usr/lib/tmpfiles.d"],
                    "[ ! -d /run/systemd/system ] || systemd-tmpfiles --create || :")


@recipe("systemd-resolved")
def _systemd_resolved(package, _world):
    package.add_link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")


@recipe("tzdata")
def _tzdata(package, _world):
    package.add_link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    package.add_file("/etc/timezone", "Etc/UTC\n", config=True)


@recipe("udev")
def _udev(package, _world):
    package.add_file("/usr/lib/sysusers.d/udev-groups.conf", "g input -\ng kvm -\ng render -\ng sgx -\n")
    package.trigger("transfiletriggerin -P 1000600", ["/usr/lib/udev/hwdb.d"], "systemd-hwdb --usr update || :")


@recipe("world-release")
def _world_release(package, _world):
    """The distribution's own choices: which units are on, the network, the locale."""
    package.summary = "Defaults of the world: presets, network, locale"
    package.description = "What a distribution decides for itself, and no single package does."
    package.tags["Requires"].append("filesystem")
    package.add_file("/usr/lib/systemd/system-preset/80-world.preset", shipped("80-world.preset"))
    package.add_file("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n")
    package.add_file("/usr/lib/systemd/network/89-ethernet.network", shipped("89-ethernet.network"))
    package.add_file("/etc/default/locale", "LANG=C.UTF-8\n", config=True)
    package.add_file("/etc/locale.conf", "LANG=C.UTF-8\n", config=True)
