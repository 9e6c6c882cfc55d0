"""Which files a package folder holds, and the promise that none of them lies outside it.

A package comes from somewhere else, so every name in it is checked before a byte is read: no absolute paths,
no "..", no symbolic link that leaves the folder. Knows nothing of what the files mean.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from lora_agent.errors import PackageFormatError, PackagePathError

PLAIN_COPY = "Copy the package with real files in place of links: cp -rL FOLDER NEW_FOLDER"


def safe_path(folder: Path, name: str) -> Path:
    """The path of `name` inside `folder`. The file need not exist. Raises PackagePathError."""
    windows = PureWindowsPath(name)
    if not name or PurePosixPath(name).is_absolute() or windows.is_absolute() or windows.drive:
        raise PackagePathError(
            f"the package {str(folder)!r} names the path {name!r}, which is not relative to its folder",
            hint="Names in a package are relative, such as 'input.schema.json'.",
        )
    if "\\" in name or ".." in name.split("/") or PurePosixPath(name).as_posix() != name:
        raise PackagePathError(
            f"the package {str(folder)!r} names the path {name!r}, which is no plain path below its folder",
            hint="Write it with '/' and without '.' or '..', such as 'input.schema.json'.",
        )
    path = folder / name
    _refuse_escape(folder, path)
    return path


def package_files(folder: Path) -> dict[str, Path]:
    """Every file below `folder` by its relative name, in sorted order.

    Raises PackagePathError for a link that leaves the folder, PackageFormatError for what is no plain file.
    """
    found: dict[str, Path] = {}
    for root, subfolders, files in os.walk(folder):
        for name in subfolders:
            path = Path(root) / name
            _refuse_escape(folder, path)
            if path.is_symlink():  # os.walk would not look into it: its files would stay unchecked
                raise PackagePathError(f"{str(path)!r} is a link to a folder", hint=PLAIN_COPY)
        for name in files:
            path = Path(root) / name
            _refuse_escape(folder, path)
            if not path.is_file():
                raise PackageFormatError(
                    f"{str(path)!r} is not a plain file", hint="A package holds plain files only: remove it."
                )
            found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _refuse_escape(folder: Path, path: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise PackagePathError(
            f"{str(path)!r} is a link that leaves its package (it leads to {str(target)!r})", hint=PLAIN_COPY
        )
