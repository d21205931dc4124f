"""What may be searched: one short file a space. Each holds a ``space``."""
