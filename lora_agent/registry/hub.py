"""Packages on the Hugging Face Hub: one repository per adapter, one tag per version, the digest in the commit.

A package is pushed as the files that it is, and what is pulled is verified like any other folder. The Hub's client
library is imported inside functions: it is not light.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lora_agent.errors import HubError, PackageVersionError
from lora_agent.registry.checks import check_gate
from lora_agent.registry.installed import install
from lora_agent.registry.package import AdapterPackage, read_package

PREFIX = "hub:"


@dataclass(frozen=True)
class Pushed:
    url: str
    commit: str
    tag: str
    digest: str


def push(folder: str | Path, repository: str, *, private: bool = False, allow_ungated: bool = False) -> Pushed:
    """Upload a package and tag it `v<version>`. Raises the AdapterError family for a package that is not sound,
    GateError for one that has not passed, PackageVersionError for a version that is there already, HubError for the
    Hub's own refusals. The token is the client's own (HF_TOKEN, or `hf auth login`)."""
    package = read_package(folder)
    check_gate(package, allow_ungated=allow_ungated)
    from huggingface_hub import HfApi

    api = HfApi()
    tag = f"v{package.version}"
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if tag in {found.name for found in api.list_repo_refs(repository).tags}:
            raise PackageVersionError(
                f"{repository!r} has {tag} already",
                hint="Give the recipe a higher version; what is published stays as it is.",
            )
        title = f"{package.name} {package.version}"
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=package.folder,
            commit_message=title,
            commit_description=f"Package digest: {package.digest}",
            delete_patterns="*",  # files of an older version must not linger beside this one's
        )
        api.create_tag(repository, tag=tag, revision=commit.oid, tag_message=f"{title}, digest {package.digest}")
    except PackageVersionError:
        raise
    except Exception as error:  # the client has many kinds, of three libraries
        raise _refused(repository, error) from error
    return Pushed(str(commit.commit_url), str(commit.oid), tag, package.digest)


def pull(where: str) -> AdapterPackage:
    """Install `hub:owner/name` or `hub:owner/name@revision`: downloaded, verified, copied to the user's adapters.
    Raises HubError, and the AdapterError family for what is not a sound package."""
    repository, _, revision = where.removeprefix(PREFIX).partition("@")
    from huggingface_hub import snapshot_download

    with tempfile.TemporaryDirectory() as folder:
        try:
            snapshot_download(repository, revision=revision or None, local_dir=folder)
        except Exception as error:
            raise _refused(repository, error) from error
        for name in (".cache", ".gitattributes"):  # the client's and the Hub's own; a package lists every file it has
            _remove(Path(folder) / name)
        return install(folder)


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _refused(repository: str, error: Exception) -> HubError:
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else type(error).__name__
    return HubError(
        f"the Hub refused {repository!r}: {said}",
        hint="Check the name, the network (HF_HUB_OFFLINE) and your token (`hf auth login`, or HF_TOKEN).",
    )
