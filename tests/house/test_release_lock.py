"""`ops/deploy/requirements.lock`: what a production host needs, in versions that the projects admit, with hashes."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lockstep.runtime import config

ROOT = Path(config.__file__).resolve().parents[1]
ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ;[^\\]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", flags=re.M
)


def test_every_package_of_a_production_host_is_pinned_in_a_version_that_is_admitted_and_by_its_hashes() -> None:
    text = (ROOT / "ops/deploy/requirements.lock").read_text()
    pinned = {canonicalize_name(name): Version(version) for name, version, _ in ENTRY.findall(text)}
    assert len(re.findall(r"^\S+==", text, flags=re.M)) == len(pinned), "each line has hashes"
    wanted: list[str] = []
    for folder in (".", "clients/python"):
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        wanted += project["dependencies"]
        if folder == ".":
            wanted += project["optional-dependencies"]["posttrade"]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name == "lockstep-client" or (requirement.marker and "python_version <" in str(requirement.marker)):
            continue
        assert pinned[name] in requirement.specifier, f"{requirement}: run make lock"
