"""Running a program as root's ordinary self: in a user namespace, or as an unprivileged user.

Some programs refuse to run as root. In a user namespace root's files belong to an ordinary user, so nothing has to be
given away; where the system has none, the program runs as another user, to whom its folder is given.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FIRST_CLOSED = 'for path in "$@"; do test -x "$path" || { echo "$path"; exit 1; }; done'
SOME_ORDINARY_USER = 1  # what root is called in a namespace when the system names no other user


@dataclass(frozen=True, slots=True)
class Isolation:
    """Whom a program runs as: `uid` and `gid` own its files, `prefix` stands before its command."""

    name: Literal["plain", "namespace", "user"]
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def run(self, command: Sequence[str | Path], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end, in a session of its own and with none of our secrets in its environment."""
        as_user: dict[str, Any] = {}
        if self.name == "user":
            as_user = {"user": self.uid, "group": self.gid, "extra_groups": []}
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            cwd=cwd,
            env={"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            umask=0o077,
            check=False,
            **as_user,
        )

    def refusal(self, paths: Sequence[Path]) -> str | None:
        """Why it cannot be used, or None if it can enter or execute all of `paths`."""
        try:
            done = self.run(["/bin/sh", "-c", FIRST_CLOSED, "sh", *paths])
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        if done.returncode == 0:
            return None
        closed = done.stdout.strip()
        return f"{closed} is closed to it" if closed else done.stderr.strip() or "refused by the system"

    def own(self, folder: Path) -> None:
        """Give it the folder and all that is in it; the folder last, so that half done is done again."""
        if os.geteuid() != 0 or folder.stat().st_uid == self.uid:
            return
        for parent, _, files in os.walk(folder, topdown=False):
            for name in files:
                os.chown(os.path.join(parent, name), self.uid, self.gid, follow_symlinks=False)
            os.chown(parent, self.uid, self.gid, follow_symlinks=False)

    def __str__(self) -> str:
        return {"user": f"user {user_name(self.uid)}", "namespace": "a user namespace"}.get(self.name, "this user")


def isolations(folder: Path, *, way: str, begun: bool) -> list[Isolation]:
    """How a program whose data lie in `folder` may run here, the best first; the same in every process.

    Parameters
    ----------
    way : {"auto", "namespace", "user"}
        How root's program is run; "auto" is as the folder's owner, or in the first way that works.
    begun : bool
        Whether the folder holds data already.
    """
    uid, gid = os.geteuid(), os.getegid()
    plain, namespace = Isolation("plain", uid, gid), Isolation("namespace", uid, gid, _namespace())
    if uid != 0:
        # some programs want a user with a name, which a container's user may lack
        return [plain] if user_name(uid) != str(uid) or begun else [namespace]
    if way == "namespace":
        return [namespace]
    owner = folder.stat() if begun else None
    if owner and owner.st_uid != 0:
        return [Isolation("user", owner.st_uid, owner.st_gid)]
    return _ordinary_users() if way == "user" else [namespace, *_ordinary_users()]


def _namespace() -> tuple[str, ...]:
    """The command that runs another in a user namespace, under a name that the system knows."""
    unmapped = 65534  # files of users outside the namespace show this one, so it must not be the program's
    known = next((user for user in pwd.getpwall() if user.pw_uid not in (0, unmapped) and user.pw_gid), None)
    uid, gid = (known.pw_uid, known.pw_gid) if known else (SOME_ORDINARY_USER, SOME_ORDINARY_USER)
    return ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--")


def _ordinary_users() -> list[Isolation]:
    """Who could run root's program: whoever became root by sudo, then the system's own unprivileged users."""
    found = []
    for name in (os.environ.get("SUDO_UID"), "postgres", "nobody"):
        with suppress(KeyError):
            if name:
                user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
                if user.pw_uid:
                    found.append(Isolation("user", user.pw_uid, user.pw_gid))
    return found


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
