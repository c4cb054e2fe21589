"""What a scenario needs of the machine beyond processes and sockets: small disks, and clocks that are off.

Either may be impossible here; then `Impossible` says why and what would help, and the scenario is skipped by that name.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from step_node.errors import StepNodeError

FAKETIME_ENVIRONMENT_VARIABLE = "STEP_CHAOS_LIBFAKETIME"
"""Where libfaketime stands, if not where Debian's package puts it."""
_FAKETIME_PATTERN = "*/faketime/libfaketimeMT.so.1"
"""The one for programs with threads, below /usr/lib (Debian: /usr/lib/<architecture>/faketime/)."""

FILLER_NAME = "filler"
_FILLER_CHUNK_BYTES = 64 * 1024


class Impossible(StepNodeError):
    """This machine cannot do what a scenario needs; the message says what is missing and how to get it."""


class SmallDisk:
    """A file system of a few MiB on a node's data directory: a tmpfs, which needs the right to mount."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        """Mount it on `folder`, with what is in there. Raises Impossible."""
        self.folder = folder
        with tempfile.TemporaryDirectory() as aside:
            kept = Path(aside) / "kept"
            shutil.copytree(folder, kept)
            self._mount(size_mib)
            shutil.copytree(kept, folder, dirs_exist_ok=True)

    def _mount(self, size_mib: int) -> None:
        try:
            outcome = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "step-chaos", str(self.folder)],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise Impossible(f"a small disk: mount cannot be run: {error.strerror}") from error
        if outcome.returncode != 0:
            raise Impossible(f"a small disk: no right to mount a tmpfs ({outcome.stderr.strip()}); run as root")

    def fill(self) -> None:
        """Write until no byte is free."""
        with (self.folder / FILLER_NAME).open("ab", buffering=0) as filler:
            size_bytes = _FILLER_CHUNK_BYTES
            while size_bytes:
                try:
                    filler.write(b"\0" * size_bytes)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size_bytes //= 2

    def free(self) -> None:
        """Give the space back."""
        (self.folder / FILLER_NAME).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Throw the disk away with all that is on it; lazily, should a process still have a file open there."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)


def clock_environment(offset_seconds: float) -> dict[str, str]:
    """Variables under which a process sees its clocks off by so much. Raises Impossible without libfaketime.

    Its monotonic clock is off too: it reads what the wall clock reads, so that no difference of two moments shows it,
    and differences are all that it is used for. The price: a wait for a lock with a time limit never ends by that
    limit. In a node only idle worker threads wait so; they stay. Left alone (FAKETIME_DONT_FAKE_MONOTONIC), that clock
    would be more like a machine whose clock is set wrong; but with libfaketime 0.9.10 `time.sleep` then fails with
    EINVAL, and a node's worker threads, which sign and write, stop for good within seconds.
    """
    return {"LD_PRELOAD": str(find_libfaketime()), "FAKETIME": f"{offset_seconds:+g}s"}


def find_libfaketime() -> Path:
    """The library to preload. Raises Impossible, saying how to install it."""
    named = os.environ.get(FAKETIME_ENVIRONMENT_VARIABLE)
    if named is not None:
        if Path(named).is_file():
            return Path(named)
        raise Impossible(f"a clock that is off: {FAKETIME_ENVIRONMENT_VARIABLE} names {named}, and no file is there")
    for folder in (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib")):
        found = next(iter(sorted([*folder.glob(_FAKETIME_PATTERN), *folder.glob("faketime/libfaketimeMT.so.1")])), None)
        if found is not None:
            return found
    raise Impossible(
        "a clock that is off: libfaketime is not installed (Debian: apt install faketime), or name libfaketimeMT.so.1"
        f" in {FAKETIME_ENVIRONMENT_VARIABLE}"
    )
