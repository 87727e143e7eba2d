# mypy: ignore-errors
# (the packages of this module are in an environment of its own, not in ours)
"""What hayhooks serves as POST /search/run."""

import haystack_parts
from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    """A question to passages."""

    def setup(self) -> None:
        """Make the pipeline."""
        self.pipeline = haystack_parts.searching()

    def run_api(self, question: str) -> list[dict]:
        """Return the passages nearest to a question."""
        found = self.pipeline.run({"embedder": {"text": question}})["retriever"]["documents"]
        return [{"id": one.id, "text": one.content} for one in found]
