# mypy: ignore-errors
# (the packages of this module are in an environment of its own, not in ours)
"""What hayhooks serves as POST /change/run."""

import haystack_parts
from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    """A passage to its place in the store."""

    def setup(self) -> None:
        """Make the pipeline."""
        self.pipeline = haystack_parts.indexing()

    def run_api(self, passage: dict) -> str:
        """Replace a passage."""
        haystack_parts.index(self.pipeline, [passage])
        return passage["id"]
