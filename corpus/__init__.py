"""Words and places: documents, the spans in them, and the passages made of those spans."""
