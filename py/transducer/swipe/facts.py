"""What a swipe model records of itself, wherever that is recorded: the keyboard layout.

Example:
    layout = Facts(json.loads(path.read_text(encoding="utf-8")), str(path)).layout
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transducer.core.cli import InputError
from transducer.swipe.keyboard import Layout, layout_of


@dataclass(frozen=True)
class Facts:
    """Facts of a swipe model: its checkpoint's config, model_meta.json, runtime_meta.json or ONNX metadata_props.

    content: the facts by name.
    source: the file that they are from, for errors.
    """

    content: Mapping[str, Any]
    source: str

    @property
    def layout(self) -> Layout:
        """Return the keyboard that the model was trained for. Raises: InputError if the facts name none."""
        swipe = self.content.get("swipe", self.content)
        # The values of metadata_props are JSON.
        swipe = json.loads(swipe) if isinstance(swipe, str) else swipe
        if "layout" not in swipe:
            raise InputError(f"{self.source} is not of a swipe model; give one of CONFIG=demo-swipe.")
        return layout_of(swipe["layout"], self.source)
