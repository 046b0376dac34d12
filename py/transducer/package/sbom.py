"""The software bill of materials of a package: CycloneDX JSON, the same bytes for the same files.

Example:
    write_json(Path("sbom.cdx.json"), bill_of_materials(package, files, {"torch": "2.13.0"}))
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# The name of a license that was not stated.
UNKNOWN_LICENCE = "NOASSERTION"
# Names on PyPI that differ from those in metadata.
PYPI = {"nemo": "nemo-toolkit"}
NAMESPACE = uuid.UUID("5c3a5f0e-6a57-5d5c-9b11-6d1f1c1d7d0b")


@dataclass(frozen=True)
class Part:
    """A file of a package, or the package: its name, SHA-256, licence (SPDX where it has an id) and role."""

    name: str
    sha256: str
    licence: str
    role: str


def bill_of_materials(whole: Part, parts: Sequence[Part], tools: Mapping[str, str]) -> dict[str, Any]:
    """Return the bill of a package made of files (`parts`) by tools (name and version).

    The SHA-256 of the whole is the checkpoint's. Nothing says when the bill was written, so that it can be written
    again; its serial number follows from its content.
    """
    bom = Bom()
    bom.metadata.component = _component(whole, ComponentType.MACHINE_LEARNING_MODEL)
    files = [
        _component(part, ComponentType.MACHINE_LEARNING_MODEL if part.role == "graph" else ComponentType.FILE)
        for part in parts
    ]
    bom.components.update(files)
    bom.register_dependency(bom.metadata.component, files)
    for name, version in tools.items():
        purl = PackageURL("pypi", name=PYPI.get(name, name), version=version)
        own = name == "transducer-export"
        bom.metadata.tools.components.add(
            Component(name=name, version=version, type=ComponentType.APPLICATION, purl=None if own else purl)
        )
    content = "\n".join(f"{part.sha256}  {part.name}" for part in [whole, *parts])
    bom.serial_number = uuid.uuid5(NAMESPACE, content)
    bill: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del bill["metadata"]["timestamp"]
    return bill


def _component(part: Part, kind: ComponentType) -> Component:
    licences = [] if part.licence == UNKNOWN_LICENCE else [LicenseFactory().make_from_string(part.licence)]
    return Component(
        name=part.name,
        type=kind,
        bom_ref=part.name,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)],
        licenses=licences,
        properties=[Property(name="transducer-export:role", value=part.role)],
    )
