"""The user's own adapters: `<home>/adapters/<name>/<version>/`, versions side by side.

The newest version counts unless the file `<name>/CURRENT` names another. Knows nothing of other places where
packages may lie.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from lora_agent.errors import (
    AdapterError,
    CacheError,
    PackageDigestError,
    PackageFormatError,
    UnknownAdapterError,
)
from lora_agent.folders import adapters_dir
from lora_agent.registry.package import AdapterPackage, read_package
from lora_agent.registry.paths import package_files
from lora_agent.registry.spec import NAME, SPEC_FILE
from lora_agent.registry.staging import copy_file, staged
from lora_agent.registry.version import SEMVER, version_key

CURRENT_FILE = "CURRENT"
LIST_HINT = "See what is there with `lora-agent adapters list`."


def install(folder: str | Path) -> AdapterPackage:
    """Verify a package and copy it to the user's adapters. The same package again changes nothing.

    Raises the AdapterError family; PackageDigestError if this version is installed with other content,
    CacheError if the disk refuses.
    """
    package = read_package(folder)
    target = adapters_dir() / package.name / package.version
    if target.exists():
        return _same(package, target)
    with staged(target) as staging:
        for name, source in package_files(package.folder).items():
            copy_file(source, staging / name)
        if read_package(staging).digest != package.digest:
            raise PackageDigestError(f"{str(folder)!r} changed during the installation", hint="Try again.")
    return read_package(target)


def remove(name: str, version: str | None = None) -> list[str]:
    """Remove one version of an installed adapter, or all of them; returns the versions removed, newest first.

    Raises UnknownAdapterError for what is not installed (shipped adapters cannot be removed).
    """
    versions = installed_versions(name)
    gone = versions if version is None else [v for v in versions if v == version]
    if not gone:
        wanted = name if version is None else f"{name} {version}"
        known = f" (installed versions: {', '.join(versions)})" if versions else ""
        raise UnknownAdapterError(f"the adapter {wanted!r} is not installed{known}", hint=LIST_HINT)
    home = adapters_dir() / name
    try:
        if len(gone) == len(versions):
            shutil.rmtree(home)
        else:
            # Unpinned before the removal: a crash between the two must not leave a pin to nothing.
            if _pinned(home) in gone:
                (home / CURRENT_FILE).unlink()
            for old in gone:
                shutil.rmtree(home / old)
    except OSError as error:
        raise CacheError(f"cannot remove {str(home)!r}: {error}") from error
    return gone


def select_version(name: str, version: str | None) -> None:
    """Pin an installed adapter to one version (write CURRENT); None lets the newest count again."""
    versions = installed_versions(name)
    if not versions or (version is not None and version not in versions):
        raise UnknownAdapterError(
            f"the adapter {name!r} {version or ''} is not installed (installed versions: {versions!r})",
            hint=LIST_HINT,
        )
    current = adapters_dir() / name / CURRENT_FILE
    if version is None:
        current.unlink(missing_ok=True)
    else:
        current.write_text(version + "\n", encoding="utf-8")


def rollback(name: str, version: str | None = None) -> tuple[str, str]:
    """Go back to the next older installed version, or to `version`; returns (version until now, version from now on).

    Raises UnknownAdapterError if there is none to go back to."""
    versions = installed_versions(name)
    now = _pinned(adapters_dir() / name) or (versions[0] if versions else None)
    older = versions[versions.index(now) + 1 :] if now in versions else versions
    if version is None and not older:
        raise UnknownAdapterError(
            f"there is no version of {name!r} older than {now or 'none'} (installed versions: {versions!r})",
            hint="Versions live side by side once they are added: `lora-agent adapters add FOLDER`.",
        )
    wanted = version or older[0]
    select_version(name, wanted)
    return now or "none", wanted


def installed_versions(name: str) -> list[str]:
    """Versions of one adapter in the user's folder, newest first."""
    if NAME.fullmatch(name) is None:  # it comes from the user: a path would lead out of the folder
        return []
    home = adapters_dir() / name
    if not home.is_dir():
        return []
    found = [child.name for child in home.iterdir() if child.is_dir() and SEMVER.fullmatch(child.name)]
    return sorted(found, key=version_key, reverse=True)


def installed_packages() -> Iterator[tuple[str, Path, AdapterPackage | AdapterError]]:
    """Every installed adapter: name, folder of the version that counts, the package or what is wrong with it.

    A broken version is reported and no older one takes its place: that would be another adapter than the
    user's.
    """
    root = adapters_dir()
    for home in sorted(root.iterdir()) if root.is_dir() else ():
        name, versions = home.name, installed_versions(home.name)
        if not versions:
            continue
        version = _pinned(home) or versions[0]
        if version in versions:
            yield name, home / version, _read_installed(home / version, name)
        else:
            error = PackageFormatError(
                f"{str(home / CURRENT_FILE)!r} names {version!r}, which is none of the installed versions "
                f"({', '.join(versions)})",
                hint="Write one of them into that file, or remove it: then the newest counts.",
            )
            yield name, home, error


def _read_installed(folder: Path, name: str) -> AdapterPackage | AdapterError:
    try:
        package = read_package(folder)
    except AdapterError as error:
        return error
    if (package.name, package.version) != (name, folder.name):
        return PackageFormatError(
            f"{str(folder)!r} holds {package.name!r} {package.version}, not what its folders are named after",
            hint="Move it elsewhere and install it from there: `lora-agent adapters add FOLDER`.",
        )
    return package


def _pinned(home: Path) -> str | None:
    current = home / CURRENT_FILE
    return current.read_text(encoding="utf-8", errors="replace").strip() if current.is_file() else None


def _same(package: AdapterPackage, target: Path) -> AdapterPackage:
    remedy = f"`lora-agent adapters remove {package.name}`"
    try:
        present = read_package(target)
    except AdapterError as error:
        raise PackageDigestError(
            f"{package.name!r} {package.version} is installed but damaged: {error.message}",
            hint=f"Remove it with {remedy}, then add it again.",
        ) from error
    if present.digest != package.digest:
        raise PackageDigestError(
            f"{package.name!r} {package.version} is installed with other content: {present.digest!r}, "
            f"new {package.digest!r}",
            hint=f"Give the new one a higher version in {SPEC_FILE}, or remove the old one with {remedy}.",
        )
    return present
