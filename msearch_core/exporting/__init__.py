"""Taking a model away: its formats, what goes with it, and the proof that it still says what it said."""
