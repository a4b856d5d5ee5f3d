"""The stream: record layouts, framing, the digest chain, and the links that carry them between processes."""
