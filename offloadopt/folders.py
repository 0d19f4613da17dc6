"""Output folders: what we write into them, that nothing else is ever removed, and that one process writes at a time.

A folder is ours if it holds a *mark*, the file that says what is in it. Marks are written first and removed last, and
what a command finishes with is one replacement of its mark, so that a process killed at any moment leaves a folder in
which the same call goes on. Of our folder only files are removed whose names the format knows; a folder that holds
anything else is not overwritten.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from offloadopt.errors import OffloadError, OutputExists
from offloadopt.files import UNFINISHED

try:
    import fcntl
except ImportError:  # Windows: a folder is then not locked
    fcntl = None  # type: ignore[assignment]

MARK_BYTES = 4096
"""Bytes of a mark that tell whether it is one."""


@dataclass(frozen=True)
class FolderFormat:
    """Names of all files that are written into a kind of output folder.

    Parameters
    ----------
    marks : mapping of str to str
        Names of marks, and regular expressions of how they begin.
    names : sequence of str
        Regular expressions of the names of all other files; ``subfolder/name`` in a subfolder.
    """

    marks: Mapping[str, str]
    names: Sequence[str]

    @contextmanager
    def opened(self, path: Path | str, *, overwrite: bool = False, alone: bool = False) -> Iterator[Path]:
        """Create an output folder, or take one that is empty or ours, and lock it.

        What a killed process was writing is removed.

        Parameters
        ----------
        path : path
        overwrite : bool
            Remove what it holds; refuse if that is not all ours.
        alone : bool
            Refuse a folder that holds anything else, even if nothing is removed.

        Raises
        ------
        OutputExists
            If the folder holds anything that is not ours, the path is a file, or another process writes to it.
        """
        folder = make_folder(path)
        with folder_lock(folder):
            try:
                self._take(folder, overwrite, alone)
            except OSError as error:
                raise OffloadError(f"cannot use the folder {folder}: {error.strerror}") from None
            yield folder

    def remove(self, folder: Path, below: str = "") -> None:
        """Remove our files, marks last; or only those of a subfolder, which goes too if nothing else is in it."""
        own, _ = self._contents(folder)
        for name in sorted(own, key=lambda name: (name in self.marks, name)):
            if name.startswith(below):
                (folder / name).unlink(missing_ok=True)
        for subfolder in self._subfolders:
            if subfolder.startswith(below):
                with suppress(OSError):  # missing, or not empty
                    (folder / subfolder).rmdir()

    @property
    def _subfolders(self) -> set[str]:
        return {name.partition("/")[0] for name in self.names if "/" in name}

    def _take(self, folder: Path, overwrite: bool, alone: bool) -> None:
        own, foreign = self._contents(folder)
        ours = any(name in self.marks for name in own)
        for name in [name for name in own if name.endswith(UNFINISHED)]:
            (folder / name).unlink()
            own.remove(name)
        if not ours and (own or foreign):
            raise OutputExists(
                f"{folder} is not empty ({min(own + foreign)}) and holds no {next(iter(self.marks))} of ours; "
                "choose another folder"
            )
        if foreign and (overwrite or alone):
            raise OutputExists(f"{folder} holds {min(foreign)}, which is not ours to replace; choose another folder")
        if overwrite:
            self.remove(folder)

    def _contents(self, folder: Path) -> tuple[list[str], list[str]]:
        """Names of our files, and of everything else."""
        own: list[str] = []
        foreign: list[str] = []
        places = [folder, *(folder / name for name in self._subfolders)]
        for place in [place for place in places if place.is_dir() and not (place.is_symlink() and place != folder)]:
            for entry in place.iterdir():
                name = entry.relative_to(folder).as_posix()
                if not (name in self._subfolders and entry.is_dir() and not entry.is_symlink()):
                    (own if self._owns(entry, name) else foreign).append(name)
        return own, foreign

    def _owns(self, entry: Path, name: str) -> bool:
        if entry.is_symlink() or not entry.is_file():
            return False
        if name in self.marks:
            with entry.open("rb") as stream:
                begin = stream.read(MARK_BYTES).decode(errors="replace")
            return re.match(self.marks[name], begin) is not None
        being_written = re.fullmatch(rf"(.*/)?\.([^/]+)\.\d+{re.escape(UNFINISHED)}", name)
        if being_written is not None:
            name = (being_written[1] or "") + being_written[2]
        return (name in self.marks and being_written is not None) or any(re.fullmatch(p, name) for p in self.names)


def make_folder(path: Path | str) -> Path:
    """Create a folder, with its parents, unless it exists."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputExists(f"{folder} is a file or inside one; allowed: a folder") from None
    except OSError as error:
        raise OffloadError(f"cannot create the folder {folder}: {error.strerror}") from None
    return folder


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other writing processes; the system releases the lock however this process ends."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputExists(f"{folder} is being written by another process") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
