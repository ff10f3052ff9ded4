"""The compiled SELinux policy: selinux-policy-default as a package that needs nothing run when it is installed.

Debian compiles the policy from its modules when the package is configured. Here the same semodule call is made once,
while the RPM is built, in a small root of the packages that bring semodule; the RPM ships what came out.
"""

import os
import shutil

from .deb import unpack
from .run import run

# The programs semodule needs, and its libraries.
TOOLS = ("libaudit1", "libbz2-1.0", "libc6", "libcap-ng0", "libgcc-s1", "libpcre2-8-0", "libselinux1",
         "libsemanage-common", "libsemanage2", "libsepol2", "policycoreutils", "selinux-utils")
# Modules that Debian's own script installs but leaves disabled.
DISABLED = ("amtu bugzilla cobbler condor cyphesis git ksmtuned likewise livecd nessus numad oddjob openca soundserver "
            "thunderbird updfstab usernetctl").split()
FLAVOUR = "default"
# Names under which a deployed tree shows directories that the policy knows by another name.
SUBSTITUTIONS = (("/usr/etc", "/etc"), ("/var/home", "/home"), ("/var/roothome", "/root"), ("/var/srv", "/srv"),
                 ("/var/mnt", "/mnt"), ("/var/opt", "/opt"), ("/var/usrlocal", "/usr/local"),
                 ("/sysroot/tmp", "/tmp"))
CONFIG = f"""# enforcing, permissive or disabled
SELINUX=permissive
# The policy under /etc/selinux that is loaded
SELINUXTYPE={FLAVOUR}
"""


def compile_into(package, world):
    folder = f"/etc/selinux/{FLAVOUR}"
    modules = f"/usr/share/selinux/{FLAVOUR}"
    subs = f"{folder}/contexts/files/file_contexts.subs_dist"
    text = package.read(subs).decode()
    text += "\n# where a deployed tree keeps them\n"
    text += "".join(f"{name} {known}\n" for name, known in SUBSTITUTIONS)
    package.add_file(subs, text, config=True)
    package.add_file("/etc/selinux/config", CONFIG, config=True)

    root = package.root + ".selinux"
    os.makedirs(f"{root}/usr/bin")
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{root}/usr/{name}", exist_ok=True)
        os.symlink(f"usr/{name}", f"{root}/{name}")
    unpack([world.deb_path(name) for name in TOOLS], root)
    shutil.copytree(package.path("/etc/selinux"), f"{root}/etc/selinux", dirs_exist_ok=True, symlinks=True)
    with open(f"{root}/etc/selinux/semanage.conf", "a", encoding="utf-8") as file:
        file.write("\nstore-root = /etc/selinux\n")
    shutil.copytree(package.path(modules), f"{root}{modules}")
    names = package.read(f"{modules}/.modules").decode().split()
    argv = ["bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-net",
            "--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin", "semodule", "-X", "100", "-n", "-s", FLAVOUR]
    argv += [f"-i{modules}/{name}.pp.bz2" for name in names] + [f"-d{name}" for name in DISABLED if name in names]
    run(argv, f"compiling the SELinux policy of {package.name}")
    _take_tree(package, root, folder)
    shutil.rmtree(root)
    package.discard(f"/var/lib/selinux/{FLAVOUR}")


def _take_tree(package, root, folder):
    """Add to the package what semodule made under `folder`."""
    for parent, directories, files in os.walk(root + folder):
        inside = parent.removeprefix(root)
        for name in sorted(directories):
            if f"{inside}/{name}" not in package.entries:
                package.add_dir(f"{inside}/{name}", os.stat(f"{parent}/{name}").st_mode & 0o7777)
        for name in sorted(files):
            path = f"{inside}/{name}"
            if path in package.entries:
                continue
            with open(f"{parent}/{name}", "rb") as file:
                entry = package.add_file(path, file, os.stat(f"{parent}/{name}").st_mode & 0o7777)
            entry.config = inside == folder or inside.startswith(f"{folder}/contexts")
