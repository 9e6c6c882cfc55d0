"""Which adapters there are: searched in a fixed order of places, each read and verified.

Order: explicit paths, LORA_AGENT_ADAPTERS, the user's adapters folder, the adapters shipped with the code.
The first place that has a name wins; whatever lost or is broken is kept and told. Knows nothing of engines.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from lora_agent.errors import AdapterError, PackageFormatError, UnknownAdapterError
from lora_agent.folders import adapters_dir
from lora_agent.registry.installed import LIST_HINT, installed_packages
from lora_agent.registry.package import AdapterPackage, read_package
from lora_agent.registry.spec import SPEC_FILE

SEARCH_VARIABLE = "LORA_AGENT_ADAPTERS"

# the name that the folder stands for, the folder, the package or what is wrong with it
Found = tuple[str, Path, AdapterPackage | AdapterError]


@dataclass(frozen=True)
class Registry:
    """A snapshot of the adapters found."""

    packages: Mapping[str, AdapterPackage]
    problems: tuple[tuple[Path, AdapterError], ...] = ()
    """Folders that hold an unusable package, and why."""
    shadowed: tuple[AdapterPackage, ...] = ()
    """Sound packages whose name an earlier place has already given."""

    broken: Mapping[str, AdapterError] = field(default_factory=dict)
    """The same faults by the name that each folder stands for."""

    @classmethod
    def discover(cls, paths: Iterable[str | Path] = (), *, search: bool = True) -> Registry:
        """Read all packages. Explicit `paths` must be sound (raises the AdapterError family); what is broken
        elsewhere lands in `problems`. `search=False` reads the explicit paths only."""
        packages = _explicit(paths)
        problems: list[tuple[Path, AdapterError]] = []
        shadowed: list[AdapterPackage] = []
        broken: dict[str, AdapterError] = {}
        for name, folder, found in _searched() if search else ():
            if not isinstance(found, AdapterPackage):
                problems.append((folder, found))
                # The name stays taken: silently going on to the next place that has it would give another
                # adapter than the one that the user put first.
                if name not in packages:
                    broken.setdefault(name, found)
            elif found.name in packages or found.name in broken:
                shadowed.append(found)
            else:
                packages[found.name] = found
        return cls(packages, tuple(problems), tuple(shadowed), broken)

    def get(self, name: str) -> AdapterPackage:
        """Raises UnknownAdapterError, or what is wrong with the package of that name."""
        if name in self.packages:
            return self.packages[name]
        if name in self.broken:
            raise self.broken[name]
        close = get_close_matches(name, self.packages, n=1)
        known = ", ".join(sorted(self.packages)) or "none"
        guess = f"; did you mean {close[0]!r}?" if close else f" (there are: {known})"
        raise UnknownAdapterError(f"there is no adapter {name!r}{guess}", hint=LIST_HINT)


def shipped_folder() -> Path | None:
    """The adapters that come with the code: of the checkout if this is one, else of the installed wheel."""
    code = Path(str(files("lora_agent")))
    # An installed `lora_agent` has neighbours too, in site-packages; only a checkout has the project's file.
    if (code.parent / "pyproject.toml").is_file() and (code.parent / "adapters").is_dir():
        return code.parent / "adapters"
    packaged = code / "_adapters"
    return packaged if packaged.is_dir() else None


def package_folders(folder: Path) -> list[Path]:
    """The folder itself if it is a package, else each child that is one, by name."""
    if (folder / SPEC_FILE).exists():
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(
        child for child in folder.iterdir() if not child.name.startswith(".") and (child / SPEC_FILE).exists()
    )


def _explicit(paths: Iterable[str | Path]) -> dict[str, AdapterPackage]:
    packages: dict[str, AdapterPackage] = {}
    for path in map(Path, paths):
        folders = package_folders(path)
        if not folders:
            raise _no_package(path)
        for folder in folders:
            package = read_package(folder)
            other = packages.get(package.name)
            if other and other.folder.resolve() != folder.resolve():
                raise PackageFormatError(
                    f"{str(other.folder)!r} and {str(folder)!r} are both named {package.name!r}",
                    hint=f"Give only one of them, or change the name in its {SPEC_FILE} and build it again.",
                )
            packages[package.name] = package
    return packages


def _searched() -> Iterator[Found]:
    for entry in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep):
        if entry:
            folders = package_folders(Path(entry))
            yield from map(_read, folders)
            if not folders:
                yield Path(entry).name, Path(entry), _no_package(Path(entry), f" (from {SEARCH_VARIABLE})")
    yield from installed_packages()
    yield from map(_read, package_folders(adapters_dir()))  # put there by hand, without a version folder
    shipped = shipped_folder()
    if shipped is not None:
        yield from map(_read, package_folders(shipped))


def _read(folder: Path) -> Found:
    try:
        return folder.name, folder, read_package(folder)
    except AdapterError as error:
        # Its card cannot be trusted: the folder's name stands for the adapter's, as it does in `adapters/`.
        return folder.name, folder, error


def _no_package(path: Path, origin: str = "") -> PackageFormatError:
    state = f"holds no {SPEC_FILE}, nor does a folder in it" if path.is_dir() else "is not a folder"
    return PackageFormatError(
        f"{str(path)!r}{origin} {state}",
        hint="Give a folder made by `lora-agent train RECIPE.yaml --out DIR`, or a folder of such folders.",
    )
