"""Numbers: the encoder, the two rankings, their fusion, the reader, and snapshots on disk."""
