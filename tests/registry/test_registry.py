"""Which adapters are found, in which order; installing, pinning and removing them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_agent.errors import (
    AdapterError,
    CacheError,
    PackageDigestError,
    PackageFormatError,
    UnknownAdapterError,
)
from lora_agent.registry import (
    AdapterPackage,
    Registry,
    install,
    installed_versions,
    read_package,
    remove,
    select_version,
    shipped_folder,
)
from lora_agent.registry.version import version_key

Build = Callable[..., AdapterPackage]


@pytest.fixture(autouse=True)
def _only_the_users_adapters(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships with the code is tested apart: its packages come and go with it."""
    monkeypatch.setattr("lora_agent.registry.registry.shipped_folder", lambda: None)


def test_nothing_is_there() -> None:
    registry = Registry.discover()
    assert (dict(registry.packages), registry.problems) == ({}, ())
    with pytest.raises(UnknownAdapterError, match=r"'ticket' \(there are: none\)"):
        registry.get("ticket")


def test_an_explicit_package_and_a_folder_of_packages(build: Build, tmp_path: Path) -> None:
    one = build(tmp_path / "one")
    build(tmp_path / "many" / "a", name="alpha")
    build(tmp_path / "many" / "b", name="beta")
    (tmp_path / "many" / "notes").mkdir()
    registry = Registry.discover([one.folder, tmp_path / "many"])
    assert sorted(registry.packages) == ["alpha", "beta", "ticket"]
    assert registry.get("ticket") == one


def test_did_you_mean(build: Build) -> None:
    registry = Registry.discover([build().folder])
    with pytest.raises(UnknownAdapterError, match=r"did you mean 'ticket'\?(.|\n)*lora-agent adapters list"):
        registry.get("tikcet")


def test_explicit_paths_must_be_sound(build: Build, tmp_path: Path) -> None:
    package = build()
    (package.folder / "README.md").write_text("changed")
    with pytest.raises(PackageDigestError):
        Registry.discover([package.folder])
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(PackageFormatError, match=path.name):
            Registry.discover([path])


def test_two_explicit_packages_of_one_name(build: Build) -> None:
    first, second = build(), build(version="2.0.0")
    with pytest.raises(PackageFormatError, match="both named 'ticket'"):
        Registry.discover([first.folder, second.folder])
    assert Registry.discover([first.folder, first.folder]).get("ticket") == first


def test_the_first_place_wins(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = build(tmp_path / "shipped" / "ticket", version="1.0.0")
    monkeypatch.setattr("lora_agent.registry.registry.shipped_folder", lambda: tmp_path / "shipped")
    assert Registry.discover().get("ticket") == shipped
    installed = install(build(version="2.0.0").folder)
    assert Registry.discover().get("ticket") == installed
    listed = build(tmp_path / "x" / "ticket", version="3.0.0")
    monkeypatch.setenv("LORA_AGENT_ADAPTERS", os.pathsep.join(["", str(tmp_path / "x")]))
    assert Registry.discover().get("ticket") == listed
    given = build(version="4.0.0")
    registry = Registry.discover([given.folder])
    assert registry.get("ticket") == given
    assert [package.version for package in registry.shadowed] == ["3.0.0", "2.0.0", "1.0.0"]
    assert Registry.discover([given.folder], search=False).shadowed == ()


def test_a_broken_package_is_told_and_keeps_its_name(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build(tmp_path / "shipped" / "ticket")
    build(tmp_path / "shipped" / "other", name="other")
    monkeypatch.setattr("lora_agent.registry.registry.shipped_folder", lambda: tmp_path / "shipped")
    broken = install(build(version="2.0.0").folder)
    (broken.folder / "README.md").write_text("changed")
    monkeypatch.setenv("LORA_AGENT_ADAPTERS", str(tmp_path / "absent"))
    registry = Registry.discover()
    assert [(folder.name, type(error)) for folder, error in registry.problems] == [
        ("absent", PackageFormatError),
        ("2.0.0", PackageDigestError),
    ]
    assert list(registry.packages) == ["other"]  # the shipped 1.0.0 does not silently take over
    with pytest.raises(PackageDigestError, match=r"README\.md"):
        registry.get("ticket")


def test_versions_lie_side_by_side_and_the_newest_counts(build: Build, home: Path) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0-rc.1"):
        package = install(build(version=version).folder)
        assert package.folder == home / "adapters" / "ticket" / version
    assert installed_versions("ticket") == ["2.0.0-rc.1", "1.10.0", "1.9.0"]
    assert Registry.discover().get("ticket").version == "2.0.0-rc.1"
    select_version("ticket", "1.9.0")
    assert (home / "adapters" / "ticket" / "CURRENT").read_text() == "1.9.0\n"
    assert Registry.discover().get("ticket").version == "1.9.0"
    select_version("ticket", None)
    assert Registry.discover().get("ticket").version == "2.0.0-rc.1"
    with pytest.raises(UnknownAdapterError, match="is not installed"):
        select_version("ticket", "7.0.0")


@pytest.mark.parametrize("pin", ["7.0.0", "../../elsewhere", ""])
def test_a_pin_to_nothing(build: Build, home: Path, pin: str) -> None:
    install(build().folder)
    (home / "adapters" / "ticket" / "CURRENT").write_text(pin)
    registry = Registry.discover()
    if pin:
        assert registry.packages == {}
        with pytest.raises(PackageFormatError, match="none of the installed versions"):
            registry.get("ticket")
    else:
        assert registry.get("ticket").version == "1.0.0"


def test_install_again(build: Build, home: Path) -> None:
    package = build()
    first = install(package.folder)
    assert install(package.folder) == first
    assert first.digest == package.digest
    other = build(description="Other text, same version.")
    with pytest.raises(PackageDigestError, match=r"other content(.|\n)*higher version"):
        install(other.folder)
    (first.folder / "README.md").write_text("changed")
    with pytest.raises(PackageDigestError, match=r"damaged(.|\n)*adapters remove ticket"):
        install(package.folder)


def test_a_broken_package_is_not_installed(build: Build, home: Path) -> None:
    package = build()
    (package.folder / "README.md").write_text("changed")
    with pytest.raises(PackageDigestError):
        install(package.folder)
    assert not (home / "adapters").exists()


def test_an_installed_link_becomes_a_file(build: Build) -> None:
    from .conftest import reseal

    package = build()
    (package.folder / "README.md").rename(package.folder / "CARD.md")
    (package.folder / "README.md").symlink_to("CARD.md")
    reseal(package.folder)
    assert not (install(package.folder).folder / "README.md").is_symlink()


def test_a_home_that_cannot_be_written(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="LORA_AGENT_HOME"):
        install(build().folder)


def test_nothing_of_a_failed_installation_stays(build: Build, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    package = build()
    monkeypatch.setattr("lora_agent.registry.installed.copy_file", full)
    with pytest.raises(CacheError, match="No space left"):
        install(package.folder)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert Registry.discover().packages == {}


def test_remove(build: Build, home: Path) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        install(build(version=version).folder)
    select_version("ticket", "1.1.0")
    assert remove("ticket", "1.1.0") == ["1.1.0"]
    assert Registry.discover().get("ticket").version == "1.2.0"  # the pin went with it
    with pytest.raises(UnknownAdapterError, match=r"'ticket 1\.1\.0' is not installed .*1\.2\.0, 1\.0\.0"):
        remove("ticket", "1.1.0")
    assert remove("ticket") == ["1.2.0", "1.0.0"]
    assert list((home / "adapters").iterdir()) == []


@pytest.mark.parametrize("name", ["ticket", "..", "../../x", "", "a/b"])
def test_only_what_is_installed_is_removed(home: Path, name: str) -> None:
    (home / "adapters").mkdir(parents=True)
    (home / "1.0.0").mkdir()
    with pytest.raises(UnknownAdapterError, match="is not installed"):
        remove(name)
    assert (home / "1.0.0").is_dir()


def test_a_package_put_into_the_users_folder_by_hand(build: Build, home: Path) -> None:
    build(home / "adapters" / "ticket")
    assert Registry.discover().get("ticket").folder == home / "adapters" / "ticket"


def test_a_package_under_the_name_of_another(build: Build, home: Path) -> None:
    build(home / "adapters" / "other" / "1.0.0")
    registry = Registry.discover()
    with pytest.raises(PackageFormatError, match="holds 'ticket'"):
        registry.get("other")


def test_shipped_adapters_are_sound() -> None:
    folder = shipped_folder()
    if folder is None:
        pytest.skip("no adapters beside this installation")
    problems: list[AdapterError] = []
    for child in sorted(folder.iterdir()):
        if (child / "adapter.yaml").exists():
            try:
                read_package(child)
            except AdapterError as error:
                problems.append(error)
    assert problems == []


def test_semver_order() -> None:
    # the example of semver.org, section 11
    versions = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.10.0",
        "2.0.0",
    ]
    assert sorted(set(versions), key=version_key) == versions
    for wrong in ("1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", ""):
        with pytest.raises(ValueError):
            version_key(wrong)
