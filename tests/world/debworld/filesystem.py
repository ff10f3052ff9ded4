"""The package every other one needs: top directories, links of the merged /usr, and the first accounts."""

ROOT = (0o755, "root", "root")
DIRECTORIES = {path: ROOT for path in """
/boot /dev /etc /etc/X11 /etc/default /etc/init.d /etc/opt /etc/pam.d /etc/profile.d /etc/skel /etc/xdg /home /media
/mnt /opt /proc /run /srv /sys /usr /usr/bin /usr/games /usr/include /usr/lib /usr/lib/x86_64-linux-gnu /usr/lib32
/usr/lib64 /usr/libexec /usr/libx32
/usr/local /usr/local/bin /usr/local/etc /usr/local/games /usr/local/include /usr/local/lib /usr/local/sbin
/usr/local/share /usr/local/share/man /usr/local/src
/usr/sbin /usr/share /usr/share/dict /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man
/usr/share/man/man1 /usr/share/man/man2 /usr/share/man/man3 /usr/share/man/man4 /usr/share/man/man5
/usr/share/man/man6 /usr/share/man/man7 /usr/share/man/man8 /usr/share/man/man9 /usr/share/misc /usr/src
/var /var/backups /var/cache /var/lib /var/lib/misc /var/log /var/opt /var/spool
""".split()}
DIRECTORIES |= {
    "/root": (0o700, "root", "root"),
    "/tmp": (0o1777, "root", "root"),
    "/var/tmp": (0o1777, "root", "root"),
    "/run/lock": (0o1777, "root", "root"),
    "/var/local": (0o2775, "root", "staff"),
    "/var/mail": (0o2775, "root", "mail"),
}
LINKS = {
    "/bin": "usr/bin",
    "/sbin": "usr/sbin",
    "/lib": "usr/lib",
    "/lib32": "usr/lib32",
    "/lib64": "usr/lib64",
    "/libx32": "usr/libx32",
    "/usr/local/man": "share/man",
    "/var/lock": "/run/lock",
    "/var/run": "/run",
    "/var/spool/mail": "../mail",
}


def fill(package, passwd_master, group_master):
    """Give `package` all of the above. The masters are the texts that base-passwd makes accounts from."""
    package.summary = "Directories, links and accounts that all packages stand on"
    package.description = ("The top of the directory tree with the merged /usr, and the accounts that Debian\n"
                           "gives the same numbers everywhere. It is installed before everything else.")
    package.license = "LicenseRef-public-domain"
    for path, (mode, user, group) in sorted(DIRECTORIES.items()):
        package.add_dir(path, mode, user, group)
    for path, target in sorted(LINKS.items()):
        package.add_link(path, target)
    passwd = [line.split(":") for line in passwd_master.splitlines() if line]
    groups = [line.split(":") for line in group_master.splitlines() if line]
    for path, text, mode, group in (
            ("/etc/passwd", "".join(":".join([line[0], "x", *line[2:]]) + "\n" for line in passwd), 0o644, "root"),
            ("/etc/group", "".join(":".join([line[0], "x", *line[2:]]) + "\n" for line in groups), 0o644, "root"),
            ("/etc/shadow", "".join(f"{line[0]}:*::0:99999:7:::\n" for line in passwd), 0o640, "shadow"),
            ("/etc/gshadow", "".join(f"{line[0]}:*::\n" for line in groups), 0o640, "shadow")):
        entry = package.add_file(path, text, mode, group=group, config=True)
        entry.unverified = "md5 size mtime"
    for path, mode in (("/var/log/wtmp", 0o664), ("/var/log/btmp", 0o660), ("/var/log/lastlog", 0o664)):
        package.add_ghost(path, mode, group="utmp")
    package.add_file("/etc/fstab", "# The root file system is found by the kernel arguments.\n", config=True)
    package.add_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
                                   "ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n", config=True)
    package.tags["Provides"] += ["usr-is-merged = 37", "usrmerge = 37"]
    # An installer that looks names up while it unpacks this very package knows no groups yet.
    package.script("posttrans", """
chgrp shadow /etc/shadow /etc/gshadow
chgrp staff /var/local && chmod 2775 /var/local
chgrp mail /var/mail && chmod 2775 /var/mail
""")
